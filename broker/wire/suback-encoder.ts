import { encodeFitting, noLimits, writeAckProperties } from './ack-properties.js'
import { PacketType } from './fixed-header.js'
import type { AckProperties, ProtocolVersion, ReceiverLimits } from './packet.js'
import { PacketWriter } from './packet-writer.js'
import { subscribeReturnCode } from './reason-codes.js'

const writer = new PacketWriter()
const block = new PacketWriter()

/**
 * SUBACK: one reason code for each Topic Filter, in order [MQTT-3.9.3-1] [MQTT-3.8.4-6]. MQTT 3.1.1 gets 0x80 for
 * every failure; so does MQTT 3.1, which knows none.
 */
export function encodeSubAck(
  packetId: number,
  reasonCodes: readonly number[],
  version: ProtocolVersion,
  properties?: AckProperties,
  receiver: ReceiverLimits = noLimits,
): Buffer {
  if (version === 5) return encode(PacketType.SubAck, packetId, reasonCodes, properties, receiver)
  writer.begin().uint16(packetId)
  for (const code of reasonCodes) writer.uint8(subscribeReturnCode(code))
  return writer.packet(PacketType.SubAck << 4)
}

/** UNSUBACK; reason codes, one for each Topic Filter in order [MQTT-3.11.3-1], are for MQTT 5 alone. */
export function encodeUnsubAck(
  packetId: number,
  reasonCodes: readonly number[],
  version: ProtocolVersion,
  properties?: AckProperties,
  receiver: ReceiverLimits = noLimits,
): Buffer {
  if (version === 5) return encode(PacketType.UnsubAck, packetId, reasonCodes, properties, receiver)
  writer.begin().uint16(packetId)
  return writer.packet(PacketType.UnsubAck << 4)
}

function encode(
  type: number,
  packetId: number,
  reasonCodes: readonly number[],
  properties: AckProperties | undefined,
  { maximumPacketSize, problemInformation }: ReceiverLimits,
): Buffer {
  // [MQTT-3.1.2-29]
  return encodeFitting(problemInformation ? properties : undefined, maximumPacketSize, (informing) => {
    writer.begin().uint16(packetId)
    block.begin()
    writeAckProperties(block, informing)
    block.appendTo(writer)
    for (const code of reasonCodes) writer.uint8(code)
    return writer.packet(type << 4)
  })
}
