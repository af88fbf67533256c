import type { UserProperties } from '../contract/message.js'
import type { AckProperties, ReceiverLimits } from './packet.js'
import type { PacketWriter } from './packet-writer.js'
import { PropertyId } from './properties.js'

/** The limits of a client that has set none. */
export const noLimits: ReceiverLimits = { maximumPacketSize: 268_435_460, problemInformation: true }

/**
 * Encodes a packet so that it fits the receiver: user properties, then the reason string are left out if they
 * would take it beyond the client's Maximum Packet Size [MQTT-3.2.2-19] [MQTT-3.2.2-20] [MQTT-3.4.2-2]
 * [MQTT-3.4.2-3] and so on for each packet. What is too large even so is returned as it is: the caller compares
 * its length, for it must not be sent [MQTT-3.1.2-24].
 */
export function encodeFitting(
  properties: AckProperties | undefined,
  maximumPacketSize: number,
  encode: (informing: AckProperties) => Buffer,
): Buffer {
  const full = encode(properties ?? {})
  if (properties === undefined || full.length <= maximumPacketSize) return full
  const { reasonString } = properties
  if (reasonString === undefined) return encode({})
  const shorter = encode({ reasonString })
  return shorter.length <= maximumPacketSize ? shorter : encode({})
}

export function writeAckProperties(writer: PacketWriter, properties: AckProperties): void {
  if (properties.reasonString !== undefined) {
    writer.uint8(PropertyId.ReasonString)
    writer.string(properties.reasonString)
  }
  writeUserProperties(writer, properties.userProperties)
}

/** In order [MQTT-3.3.2-18]. */
export function writeUserProperties(writer: PacketWriter, properties: UserProperties = []): void {
  for (const [name, value] of properties) {
    writer.uint8(PropertyId.UserProperty)
    writer.string(name)
    writer.string(value)
  }
}
