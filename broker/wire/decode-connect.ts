import type { QoS } from '../contract/message.js'
import { byteAt } from './byte-at.js'
import { MessageProperties, noUserProperties, userProperty } from './message-properties.js'
import type { ConnectPacket, ProtocolVersion, WillFields } from './packet.js'
import type { PacketReader } from './packet-reader.js'
import { allowedProperties, PropertyId } from './properties.js'
import { wireRules, type WireRule } from './wire-rules.js'

const MQTT = Buffer.from('\0\x04MQTT')
const MQISDP = Buffer.from('\0\x06MQIsdp')

const CLEAN_START = 0x02
const WILL = 0x04
const WILL_RETAIN = 0x20
const PASSWORD = 0x40
const USERNAME = 0x80

/** How CONNECT begins: decided byte by byte, so that nothing is gathered for a peer that does not speak MQTT. */
export interface ConnectOpening {
  /** Undefined while bytes are missing and after a fault without an answer. */
  readonly version: ProtocolVersion | undefined
  readonly fault: WireRule | undefined
  /** Bytes of protocol name and version. */
  readonly length: number
}

const UNDECIDED: ConnectOpening = { version: undefined, fault: undefined, length: 0 }
const FOREIGN: ConnectOpening = { version: undefined, fault: wireRules.protocolName, length: 0 }

/** Looks at protocol name and version in `bytes[start..end)`, which may hold only the first bytes of a CONNECT. */
export function connectOpening(bytes: Buffer, start: number, end: number): ConnectOpening {
  const name = end - start > 1 && bytes[start + 1] === MQISDP[1] ? MQISDP : MQTT
  const present = Math.min(name.length, end - start)
  for (let i = 0; i < present; i++) if (bytes[start + i] !== name[i]) return FOREIGN
  if (end - start <= name.length) return UNDECIDED

  const level = byteAt(bytes, start + name.length)
  const length = name.length + 1
  if (name === MQISDP) {
    return { version: 3, fault: level === 3 ? undefined : wireRules.protocolVersion, length }
  }
  if (level === 4 || level === 5) return { version: level, fault: undefined, length }
  // Answered in the closest version that the client may understand [MQTT-3.1.2-2] [MQTT-3.1.1/3.1.2-2].
  return { version: level > 5 ? 5 : 4, fault: wireRules.protocolVersion, length }
}

/** Reads CONNECT behind its opening. */
export function decodeConnect(reader: PacketReader, version: ProtocolVersion): ConnectPacket {
  const flags = reader.uint8()
  checkFlags(reader, flags, version)
  const keepAlive = reader.uint16()
  const properties = version === 5 ? connectProperties(reader) : noConnectProperties

  if (reader.atEnd) reader.fail(wireRules.clientIdMissing)
  const clientId = reader.string()
  const will = (flags & WILL) === 0 ? undefined : decodeWill(reader, flags, version)
  const username = credentialPresent(reader, flags, USERNAME, version) ? reader.string() : undefined
  const password = credentialPresent(reader, flags, PASSWORD, version) ? reader.binary() : undefined
  reader.close()

  return {
    type: 'connect',
    version,
    cleanStart: (flags & CLEAN_START) !== 0,
    keepAlive,
    clientId,
    username,
    password,
    will,
    ...properties,
  }
}

function checkFlags(reader: PacketReader, flags: number, version: ProtocolVersion): void {
  if ((flags & 1) !== 0) reader.fail(wireRules.connectReservedFlag)
  const willQoS = (flags >> 3) & 3
  if ((flags & WILL) === 0) {
    if (willQoS !== 0) reader.fail(wireRules.willQoSAlone)
    if ((flags & WILL_RETAIN) !== 0) reader.fail(wireRules.willRetainAlone)
  } else if (willQoS === 3) reader.fail(wireRules.willQoS3)
  // MQTT 5 lets a password stand alone (3.1.2.9).
  if (version < 5 && (flags & USERNAME) === 0 && (flags & PASSWORD) !== 0)
    reader.fail(wireRules.passwordAlone)
}

function decodeWill(reader: PacketReader, flags: number, version: ProtocolVersion): WillFields {
  let delayInterval = 0
  const properties = new MessageProperties()
  if (version === 5) {
    if (reader.atEnd) reader.fail(wireRules.willMissing)
    reader.enterProperties()
    for (let id; (id = reader.nextProperty(allowedProperties.will)) !== 0;) {
      if (id === PropertyId.WillDelayInterval) delayInterval = reader.uint32()
      else properties.read(reader, id)
    }
  }
  if (reader.atEnd) reader.fail(wireRules.willMissing)
  const topic = reader.string()
  if (reader.atEnd) reader.fail(wireRules.willMissing)
  return {
    topic,
    payload: reader.binary(),
    qos: ((flags >> 3) & 3) as QoS,
    retain: (flags & WILL_RETAIN) !== 0,
    delayInterval,
    messageExpiryInterval: properties.messageExpiryInterval,
    properties: properties.published,
  }
}

function credentialPresent(
  reader: PacketReader,
  flags: number,
  flag: number,
  version: ProtocolVersion,
): boolean {
  if ((flags & flag) === 0) return false
  if (!reader.atEnd) return true
  // MQTT 3.1 lets a client set the flags and leave the fields out: the Remaining Length wins (3.1, CONNECT).
  if (version > 3) reader.fail(flag === USERNAME ? wireRules.usernameMissing : wireRules.passwordMissing)
  return false
}

type ConnectProperties = Pick<
  ConnectPacket,
  | 'sessionExpiryInterval'
  | 'receiveMaximum'
  | 'maximumPacketSize'
  | 'topicAliasMaximum'
  | 'requestResponseInformation'
  | 'requestProblemInformation'
  | 'userProperties'
  | 'authenticationMethod'
  | 'authenticationData'
>

const noConnectProperties: ConnectProperties = {
  sessionExpiryInterval: undefined,
  receiveMaximum: undefined,
  maximumPacketSize: undefined,
  topicAliasMaximum: 0,
  requestResponseInformation: false,
  requestProblemInformation: true,
  userProperties: noUserProperties,
  authenticationMethod: undefined,
  authenticationData: undefined,
}

function connectProperties(reader: PacketReader): ConnectProperties {
  const read: { -readonly [K in keyof ConnectProperties]: ConnectProperties[K] } = { ...noConnectProperties }
  const userProperties: [string, string][] = []
  reader.enterProperties()
  for (let id; (id = reader.nextProperty(allowedProperties.connect)) !== 0;) {
    switch (id) {
      case PropertyId.SessionExpiryInterval:
        read.sessionExpiryInterval = reader.uint32()
        break
      case PropertyId.ReceiveMaximum:
        read.receiveMaximum = reader.uint16()
        if (read.receiveMaximum === 0) reader.fail(wireRules.receiveMaximum)
        break
      case PropertyId.MaximumPacketSize:
        read.maximumPacketSize = reader.uint32()
        if (read.maximumPacketSize === 0) reader.fail(wireRules.maximumPacketSize)
        break
      case PropertyId.TopicAliasMaximum:
        read.topicAliasMaximum = reader.uint16()
        break
      case PropertyId.RequestResponseInformation:
        read.requestResponseInformation = reader.flag(wireRules.requestResponseInformation)
        break
      case PropertyId.RequestProblemInformation:
        read.requestProblemInformation = reader.flag(wireRules.requestProblemInformation)
        break
      case PropertyId.UserProperty:
        userProperties.push(userProperty(reader))
        break
      case PropertyId.AuthenticationMethod:
        read.authenticationMethod = reader.string()
        break
      case PropertyId.AuthenticationData:
        read.authenticationData = reader.binary()
        break
    }
  }
  if (read.authenticationData !== undefined && read.authenticationMethod === undefined) {
    reader.fail(wireRules.authenticationDataAlone)
  }
  if (userProperties.length > 0) read.userProperties = userProperties
  return read
}
