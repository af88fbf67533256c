import { encodeFitting, noLimits, writeAckProperties } from './ack-properties.js'
import { PacketType } from './fixed-header.js'
import type { AuthFields, DisconnectFields, ReceiverLimits } from './packet.js'
import { PacketWriter } from './packet-writer.js'
import { PropertyId } from './properties.js'
import { ReasonCode } from './reason-codes.js'

const writer = new PacketWriter()
const block = new PacketWriter()

/** The same bytes for everyone; shared, not to be modified. */
export const PINGRESP = Buffer.from([PacketType.PingResp << 4, 0])

/** DISCONNECT of a server: MQTT 5 only; earlier versions know it from clients alone. */
export function encodeDisconnect(fields: DisconnectFields, receiver: ReceiverLimits = noLimits): Buffer {
  const { reasonCode, properties } = fields
  // Problem information is allowed here whatever the client asked for [MQTT-3.1.2-29].
  return encodeFitting(properties, receiver.maximumPacketSize, (informing) => {
    writer.begin()
    block.begin()
    writeAckProperties(block, informing)
    if (properties?.serverReference !== undefined) {
      block.uint8(PropertyId.ServerReference)
      block.string(properties.serverReference)
    }
    if (reasonCode !== ReasonCode.NormalDisconnection || block.length > 0) {
      writer.uint8(reasonCode)
      // A property length of 0 could be left out too; mqtt-packet 9 then reads on into whatever follows.
      block.appendTo(writer)
    }
    return writer.packet(PacketType.Disconnect << 4)
  })
}

/** AUTH: MQTT 5 only. The method is the one of CONNECT [MQTT-4.12.0-5]. */
export function encodeAuth(fields: AuthFields, receiver: ReceiverLimits = noLimits): Buffer {
  const { reasonString } = fields
  // [MQTT-3.1.2-29]
  const informing = receiver.problemInformation && reasonString !== undefined ? { reasonString } : undefined
  return encodeFitting(informing, receiver.maximumPacketSize, (fitting) => {
    writer.begin().uint8(fields.reasonCode)
    block.begin()
    block.uint8(PropertyId.AuthenticationMethod)
    block.string(fields.authenticationMethod)
    if (fields.authenticationData !== undefined) {
      block.uint8(PropertyId.AuthenticationData)
      block.binary(fields.authenticationData)
    }
    writeAckProperties(block, fitting)
    block.appendTo(writer)
    return writer.packet(PacketType.Auth << 4)
  })
}
