import { encodeFitting, noLimits, writeAckProperties } from './ack-properties.js'
import { PacketType } from './fixed-header.js'
import type { ConnAckFields, ConnAckProperties, ProtocolVersion, ReceiverLimits } from './packet.js'
import { PacketWriter } from './packet-writer.js'
import { PropertyId } from './properties.js'
import { ConnectReturnCode, connectReturnCode } from './reason-codes.js'

const writer = new PacketWriter()
const block = new PacketWriter()

/**
 * CONNACK. For MQTT 3.1 and 3.1.1 the reason code is translated; ask `connectReturnCode` first, for where it has
 * none no CONNACK may be sent [MQTT-3.1.1/3.2.2-6] (it would say Server unavailable). Session Present is 0 with a
 * failure [MQTT-3.2.2-6], and in MQTT 3.1, which does not have it.
 */
export function encodeConnAck(
  fields: ConnAckFields,
  version: ProtocolVersion,
  receiver: ReceiverLimits = noLimits,
): Buffer {
  const { reasonCode, properties } = fields
  const sessionPresent = fields.sessionPresent && reasonCode === 0 ? 1 : 0
  if (version < 5) {
    const code = connectReturnCode(reasonCode) ?? ConnectReturnCode.ServerUnavailable
    return Buffer.from([PacketType.ConnAck << 4, 2, version === 3 ? 0 : sessionPresent, code])
  }
  // Problem information is allowed here whatever the client asked for [MQTT-3.1.2-29].
  return encodeFitting(properties, receiver.maximumPacketSize, (informing) => {
    writer.begin().uint8(sessionPresent)
    writer.uint8(reasonCode)
    block.begin()
    if (properties !== undefined) writeProperties(block, properties)
    writeAckProperties(block, informing)
    block.appendTo(writer)
    return writer.packet(PacketType.ConnAck << 4)
  })
}

function writeProperties(to: PacketWriter, properties: ConnAckProperties): void {
  const uint8 = (id: number, value: number | boolean | undefined) => {
    if (value === undefined) return
    to.uint8(id)
    to.uint8(Number(value))
  }
  const uint16 = (id: number, value: number | undefined) => {
    if (value === undefined) return
    to.uint8(id)
    to.uint16(value)
  }
  const uint32 = (id: number, value: number | undefined) => {
    if (value === undefined) return
    to.uint8(id)
    to.uint32(value)
  }
  const string = (id: number, value: string | undefined) => {
    if (value === undefined) return
    to.uint8(id)
    to.string(value)
  }
  uint32(PropertyId.SessionExpiryInterval, properties.sessionExpiryInterval)
  uint16(PropertyId.ReceiveMaximum, properties.receiveMaximum)
  uint8(PropertyId.MaximumQoS, properties.maximumQoS)
  uint8(PropertyId.RetainAvailable, properties.retainAvailable)
  uint32(PropertyId.MaximumPacketSize, properties.maximumPacketSize)
  string(PropertyId.AssignedClientIdentifier, properties.assignedClientIdentifier)
  uint16(PropertyId.TopicAliasMaximum, properties.topicAliasMaximum)
  uint8(PropertyId.WildcardSubscriptionAvailable, properties.wildcardSubscriptionAvailable)
  uint8(PropertyId.SubscriptionIdentifierAvailable, properties.subscriptionIdentifiersAvailable)
  uint8(PropertyId.SharedSubscriptionAvailable, properties.sharedSubscriptionAvailable)
  uint16(PropertyId.ServerKeepAlive, properties.serverKeepAlive)
  string(PropertyId.ResponseInformation, properties.responseInformation)
  string(PropertyId.ServerReference, properties.serverReference)
  string(PropertyId.AuthenticationMethod, properties.authenticationMethod)
  if (properties.authenticationData !== undefined) {
    to.uint8(PropertyId.AuthenticationData)
    to.binary(properties.authenticationData)
  }
}
