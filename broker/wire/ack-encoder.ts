import { encodeFitting, noLimits, writeAckProperties } from './ack-properties.js'
import { PacketType } from './fixed-header.js'
import type { AckPacket, AckProperties, ProtocolVersion, ReceiverLimits } from './packet.js'
import { PacketWriter } from './packet-writer.js'
import { ReasonCode } from './reason-codes.js'

const firstBytes: Record<AckPacket['type'], number> = {
  puback: PacketType.PubAck << 4,
  pubrec: PacketType.PubRec << 4,
  pubrel: (PacketType.PubRel << 4) | 0x02, // [MQTT-3.6.1-1]
  pubcomp: PacketType.PubComp << 4,
}

const writer = new PacketWriter()
const block = new PacketWriter()

/**
 * PUBACK, PUBREC, PUBREL or PUBCOMP in the shortest form: without properties and with success it is four bytes
 * (MQTT 5, 3.4.2.1). MQTT 3.1 and 3.1.1 have neither reason code nor properties, so that a failure cannot be told
 * there: the connection is closed instead.
 */
export function encodeAck(
  type: AckPacket['type'],
  packetId: number,
  reasonCode: number,
  version: ProtocolVersion,
  properties?: AckProperties,
  receiver: ReceiverLimits = noLimits,
): Buffer {
  const first = firstBytes[type]
  if (version < 5) return plainAck(first, packetId)
  if (properties !== undefined && receiver.problemInformation) {
    return encodeFitting(properties, receiver.maximumPacketSize, (informing) =>
      encodeWith(first, packetId, reasonCode, informing),
    )
  }
  if (reasonCode === ReasonCode.Success) return plainAck(first, packetId)
  return encodeWith(first, packetId, reasonCode, {})
}

function plainAck(first: number, packetId: number): Buffer {
  const packet = Buffer.allocUnsafe(4)
  packet[0] = first
  packet[1] = 2
  packet[2] = packetId >> 8
  packet[3] = packetId
  return packet
}

function encodeWith(first: number, packetId: number, reasonCode: number, properties: AckProperties): Buffer {
  writer.begin()
  block.begin()
  writeAckProperties(block, properties)
  if (block.length === 0 && reasonCode === ReasonCode.Success) return plainAck(first, packetId)
  writer.uint16(packetId)
  writer.uint8(reasonCode)
  if (block.length > 0) block.appendTo(writer)
  return writer.packet(first)
}
