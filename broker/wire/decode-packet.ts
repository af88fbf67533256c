import type { QoS } from '../contract/message.js'
import { PacketType } from './fixed-header.js'
import { noUserProperties, userProperty } from './message-properties.js'
import type {
  AckPacket,
  AuthPacket,
  DisconnectPacket,
  InboundPacket,
  PingReqPacket,
  ProtocolVersion,
  SubscribePacket,
  SubscriptionRequest,
  UnsubscribePacket,
} from './packet.js'
import type { PacketReader } from './packet-reader.js'
import { allowedProperties, PropertyId, type PropertySet } from './properties.js'
import { ReasonCode } from './reason-codes.js'
import { wireRules, type WireRule } from './wire-rules.js'

/** Reads a packet that comes after CONNECT and is not PUBLISH; the fixed header has been checked. */
export function decodePacket(reader: PacketReader, type: number, version: ProtocolVersion): InboundPacket {
  const packet = fieldsOf(reader, type, version)
  reader.close()
  return packet
}

function fieldsOf(reader: PacketReader, type: number, version: ProtocolVersion): InboundPacket {
  switch (type) {
    case PacketType.PubAck:
      return decodeAck(reader, version, 'puback')
    case PacketType.PubRec:
      return decodeAck(reader, version, 'pubrec')
    case PacketType.PubRel:
      return decodeAck(reader, version, 'pubrel')
    case PacketType.PubComp:
      return decodeAck(reader, version, 'pubcomp')
    case PacketType.Subscribe:
      return decodeSubscribe(reader, version)
    case PacketType.Unsubscribe:
      return decodeUnsubscribe(reader, version)
    case PacketType.Disconnect:
      return decodeDisconnect(reader, version)
    case PacketType.Auth:
      return decodeAuth(reader)
    default:
      return pingReq
  }
}

const pingReq: PingReqPacket = { type: 'pingreq' }

/**
 * 0x10 in PUBACK and PUBREC is for servers, but a broker that bridges to this one and answers as a client sends
 * it too (Mosquitto 2), and nothing depends on it.
 */
const publishReasons: ReadonlySet<number> = new Set([
  ReasonCode.Success,
  ReasonCode.NoMatchingSubscribers,
  ReasonCode.UnspecifiedError,
  ReasonCode.ImplementationSpecificError,
  ReasonCode.NotAuthorized,
  ReasonCode.TopicNameInvalid,
  ReasonCode.PacketIdentifierInUse,
  ReasonCode.QuotaExceeded,
  ReasonCode.PayloadFormatInvalid,
])
const releaseReasons: ReadonlySet<number> = new Set([ReasonCode.Success, ReasonCode.PacketIdentifierNotFound])

const ackReasons: Record<AckPacket['type'], { allowed: ReadonlySet<number>; rule: WireRule }> = {
  puback: { allowed: publishReasons, rule: wireRules.pubackReason },
  pubrec: { allowed: publishReasons, rule: wireRules.pubrecReason },
  pubrel: { allowed: releaseReasons, rule: wireRules.pubrelReason },
  pubcomp: { allowed: releaseReasons, rule: wireRules.pubcompReason },
}

function decodeAck(reader: PacketReader, version: ProtocolVersion, type: AckPacket['type']): AckPacket {
  const packetId = reader.packetIdentifier(wireRules.ackPacketIdZero)
  let reasonCode = 0
  // Reason code and property length may be left out (3.4.2.1, 3.4.2.2.1).
  if (version === 5 && !reader.atEnd) {
    reasonCode = reader.uint8()
    const { allowed, rule } = ackReasons[type]
    if (!allowed.has(reasonCode)) reader.fail(rule)
    if (reader.remaining > 0) skipProperties(reader, allowedProperties.ack)
  }
  return { type, packetId, reasonCode }
}

/** Properties that only inform: checked, not kept. */
function skipProperties(reader: PacketReader, allowed: PropertySet): void {
  reader.enterProperties()
  for (let id; (id = reader.nextProperty(allowed)) !== 0;) {
    if (id === PropertyId.UserProperty) userProperty(reader)
    else reader.string()
  }
}

function decodeSubscribe(reader: PacketReader, version: ProtocolVersion): SubscribePacket {
  const packetId = reader.packetIdentifier(wireRules.packetIdZero)
  let subscriptionIdentifier: number | undefined
  const userProperties: [string, string][] = []
  if (version === 5) {
    reader.enterProperties()
    for (let id; (id = reader.nextProperty(allowedProperties.subscribe)) !== 0;) {
      if (id === PropertyId.UserProperty) userProperties.push(userProperty(reader))
      else {
        subscriptionIdentifier = reader.variableByteInteger()
        if (subscriptionIdentifier === 0) reader.fail(wireRules.subscriptionIdentifierZero)
      }
    }
  }
  if (reader.atEnd) reader.fail(wireRules.subscribeEmpty)
  const subscriptions: SubscriptionRequest[] = []
  while (!reader.atEnd) subscriptions.push(decodeSubscription(reader, version))
  return {
    type: 'subscribe',
    packetId,
    subscriptions,
    subscriptionIdentifier,
    userProperties: userProperties.length > 0 ? userProperties : noUserProperties,
  }
}

function decodeSubscription(reader: PacketReader, version: ProtocolVersion): SubscriptionRequest {
  const filter = reader.string()
  const options = reader.uint8()
  const reserved = version === 5 ? 0xc0 : 0xfc
  const noLocal = (options & 0x04) !== 0
  const retainHandling = (options >> 4) & 3
  if ((options & reserved) !== 0) reader.fail(wireRules.subscriptionReservedBits)
  if ((options & 3) === 3) reader.fail(wireRules.subscriptionQoS3)
  if (retainHandling === 3) reader.fail(wireRules.retainHandling3)
  if (noLocal && filter.startsWith('$share/')) reader.fail(wireRules.noLocalShared)
  return {
    filter,
    qos: (options & 3) as QoS,
    noLocal,
    retainAsPublished: (options & 0x08) !== 0,
    retainHandling: retainHandling as 0 | 1 | 2,
  }
}

function decodeUnsubscribe(reader: PacketReader, version: ProtocolVersion): UnsubscribePacket {
  const packetId = reader.packetIdentifier(wireRules.packetIdZero)
  if (version === 5) skipProperties(reader, allowedProperties.unsubscribe)
  if (reader.atEnd) reader.fail(wireRules.unsubscribeEmpty)
  const filters: string[] = []
  while (!reader.atEnd) filters.push(reader.string())
  return { type: 'unsubscribe', packetId, filters }
}

/** The whole table of DISCONNECT, not only what its column `Sent by` gives to clients: the end is the same. */
const disconnectReasons: ReadonlySet<number> = new Set([
  ReasonCode.NormalDisconnection,
  ReasonCode.DisconnectWithWillMessage,
  ReasonCode.UnspecifiedError,
  ReasonCode.MalformedPacket,
  ReasonCode.ProtocolError,
  ReasonCode.ImplementationSpecificError,
  ReasonCode.NotAuthorized,
  ReasonCode.ServerBusy,
  ReasonCode.ServerShuttingDown,
  ReasonCode.KeepAliveTimeout,
  ReasonCode.SessionTakenOver,
  ReasonCode.TopicFilterInvalid,
  ReasonCode.TopicNameInvalid,
  ReasonCode.ReceiveMaximumExceeded,
  ReasonCode.TopicAliasInvalid,
  ReasonCode.PacketTooLarge,
  ReasonCode.MessageRateTooHigh,
  ReasonCode.QuotaExceeded,
  ReasonCode.AdministrativeAction,
  ReasonCode.PayloadFormatInvalid,
  ReasonCode.RetainNotSupported,
  ReasonCode.QoSNotSupported,
  ReasonCode.UseAnotherServer,
  ReasonCode.ServerMoved,
  ReasonCode.SharedSubscriptionsNotSupported,
  ReasonCode.ConnectionRateExceeded,
  ReasonCode.MaximumConnectTime,
  ReasonCode.SubscriptionIdentifiersNotSupported,
  ReasonCode.WildcardSubscriptionsNotSupported,
])

function decodeDisconnect(reader: PacketReader, version: ProtocolVersion): DisconnectPacket {
  let reasonCode: number = ReasonCode.NormalDisconnection
  let sessionExpiryInterval: number | undefined
  if (version === 5 && !reader.atEnd) {
    reasonCode = reader.uint8()
    if (!disconnectReasons.has(reasonCode)) reader.fail(wireRules.disconnectReason)
    // The property length may be left out (3.14.2.2.1).
    if (reader.remaining > 0) {
      reader.enterProperties()
      for (let id; (id = reader.nextProperty(allowedProperties.disconnect)) !== 0;) {
        if (id === PropertyId.SessionExpiryInterval) sessionExpiryInterval = reader.uint32()
        else if (id === PropertyId.UserProperty) userProperty(reader)
        else reader.string()
      }
    }
  }
  return { type: 'disconnect', reasonCode, sessionExpiryInterval }
}

/**
 * A client continues (0x18) or starts over (0x19) [MQTT-4.12.0-3] [MQTT-4.12.1-1]; success is the server's to
 * say, so that the form without reason code and properties, which means success, never comes from a client.
 */
function decodeAuth(reader: PacketReader): AuthPacket {
  let authenticationMethod: string | undefined
  let authenticationData: Buffer | undefined
  const reasonCode = reader.atEnd ? ReasonCode.Success : reader.uint8()
  if (reasonCode !== ReasonCode.ContinueAuthentication && reasonCode !== ReasonCode.ReAuthenticate) {
    reader.fail(wireRules.authReason)
  }
  if (!reader.atEnd) {
    reader.enterProperties()
    for (let id; (id = reader.nextProperty(allowedProperties.auth)) !== 0;) {
      if (id === PropertyId.AuthenticationMethod) authenticationMethod = reader.string()
      else if (id === PropertyId.AuthenticationData) authenticationData = reader.binary()
      else if (id === PropertyId.UserProperty) userProperty(reader)
      else reader.string()
    }
  }
  if (authenticationMethod === undefined) reader.fail(wireRules.authMethodMissing)
  return { type: 'auth', reasonCode, authenticationMethod, authenticationData }
}
