import type { Message, PublishProperties, QoS } from '../contract/message.js'
import { writeUserProperties } from './ack-properties.js'
import { byteAt } from './byte-at.js'
import { PacketType } from './fixed-header.js'
import type { ProtocolVersion } from './packet.js'
import {
  fieldLength,
  PacketWriter,
  variableByteIntegerSize,
  writeVariableByteInteger,
} from './packet-writer.js'
import { PropertyId } from './properties.js'
import { isShortText, writeShortText } from './short-text.js'

/** How a message goes to one receiver. */
export interface PublishOptions {
  readonly version: ProtocolVersion
  readonly qos: QoS
  readonly retain: boolean
  /** Only on a QoS 1 or 2 packet that is sent again [MQTT-3.3.1-1] [MQTT-3.3.1-2]. */
  readonly dup: boolean
  /** 1 to 65,535; ignored for QoS 0 [MQTT-2.2.1-2]. */
  readonly packetId: number
  /** Subscription Identifiers, each 1 to 268,435,455 (MQTT 5). */
  readonly identifiers: readonly number[]
  /** 1 to the client's Topic Alias Maximum (MQTT 5). */
  readonly topicAlias: number | undefined
  /** The client knows the alias: an empty topic is sent. */
  readonly omitTopic: boolean
  /** Milliseconds since the epoch. */
  readonly now: number
}

/*
 * Slots of `Message.encoded`. Four shared QoS 0 packets, by version and RETAIN; for each version the first QoS 1
 * or 2 packet that was encoded, from which others differ in few bytes; and the property bytes that are the same
 * for every receiver.
 */
const SHARED_3 = 0
const SHARED_5 = 2
const TEMPLATE_3 = 4
const TEMPLATE_5 = 5
const PROPERTIES = 6

/** With room for exactly what there is: a list that grows by an assignment gets room for 17. */
function emptySlots(): (Buffer | undefined)[] {
  return [undefined, undefined, undefined, undefined, undefined, undefined, undefined]
}

/**
 * Above this the template saves less than a tenth of an encode, which is then mostly the copy of the payload, and
 * is not worth a second copy of the payload for as long as the message lives. Bytes.
 */
const TEMPLATE_MAX_PAYLOAD = 4096

const PUBLISH = PacketType.Publish << 4
const DUP = 0x08
const RETAIN = 0x01
/** Property identifier and four bytes; it always comes first, so that it can be found and rewritten. */
const EXPIRY_SIZE = 5
const ALIAS_SIZE = 3
const NO_BYTES = Buffer.alloc(0)

/**
 * The QoS 0 packet for every subscriber that has no subscription identifier and no alias: encoded once for each
 * wire version and RETAIN flag, and shared, so nobody may modify it. A message that expires is encoded once a
 * second, because the remaining seconds are part of the packet [MQTT-3.3.2-6].
 */
export function encodeShared(
  message: Message,
  version: ProtocolVersion,
  retain: boolean,
  now: number,
): Buffer {
  const slots = (message.encoded ??= emptySlots())
  const slot = (version === 5 ? SHARED_5 : SHARED_3) + (retain ? 1 : 0)
  const known = slots[slot]
  if (known !== undefined) {
    if (version < 5 || message.expiresAt === undefined) return known
    const seconds = remainingSeconds(message.expiresAt, now)
    if (known.readUInt32BE(expiryOffset(known, 0)) === seconds) return known
  }
  const packet = encodeWhole(message, version, 0, retain ? RETAIN : 0, 0, [], 0, false, now)
  slots[slot] = packet
  return packet
}

/**
 * The packet for one receiver. Without identifiers and alias, receivers of QoS 1 and 2 share all work but a copy
 * of the bytes and the flags, packet identifier and remaining seconds.
 */
export function encodePublish(message: Message, options: PublishOptions): Buffer {
  const { version, qos, identifiers, packetId } = options
  const flags = (qos << 1) | (options.retain ? RETAIN : 0) | (options.dup && qos > 0 ? DUP : 0)
  const topicAlias = version === 5 ? (options.topicAlias ?? 0) : 0
  const { now } = options
  const plain = version < 5 || (identifiers.length === 0 && topicAlias === 0)
  if (!plain || qos === 0 || message.payload.length > TEMPLATE_MAX_PAYLOAD) {
    const omitTopic = options.omitTopic && topicAlias !== 0
    return encodeWhole(message, version, qos, flags, packetId, identifiers, topicAlias, omitTopic, now)
  }
  const slots = (message.encoded ??= emptySlots())
  const slot = version === 5 ? TEMPLATE_5 : TEMPLATE_3
  const template = slots[slot]
  if (template === undefined) {
    return (slots[slot] = encodeWhole(message, version, qos, flags, packetId, [], 0, false, now))
  }
  const packet = Buffer.allocUnsafe(template.length)
  packet.set(template)
  packet[0] = PUBLISH | flags
  const position = topicEnd(packet)
  packet[position] = packetId >> 8
  packet[position + 1] = packetId
  if (version === 5 && message.expiresAt !== undefined) {
    packet.writeUInt32BE(remainingSeconds(message.expiresAt, now), expiryOffset(packet, 2))
  }
  return packet
}

/** Bytes of the packet that `encodePublish` would make, to compare with the client's Maximum Packet Size. */
export function publishSize(
  message: Message,
  options: Omit<PublishOptions, 'retain' | 'dup' | 'packetId' | 'now'>,
): number {
  const { version, qos, identifiers } = options
  const topicAlias = version === 5 ? (options.topicAlias ?? 0) : 0
  const omitted = options.omitTopic && topicAlias !== 0
  const topicBytes = omitted ? 0 : Buffer.byteLength(message.topic)
  let length = 2 + topicBytes + (qos > 0 ? 2 : 0) + message.payload.length
  if (version === 5) {
    const properties = propertiesSize(message, identifiers, topicAlias)
    length += variableByteIntegerSize(properties) + properties
  }
  return 1 + variableByteIntegerSize(length) + length
}

/**
 * Seconds left: the received interval minus the whole seconds that the message has waited [MQTT-3.3.2-6]. So a
 * started second counts as left, and a message that may still be sent never carries 0: neither in its last second
 * nor when a packet that had been sent in time is sent again later, which expiry must not stop [MQTT-4.3.3-7].
 */
function remainingSeconds(expiresAt: number, now: number): number {
  return Math.min(Math.max(Math.ceil((expiresAt - now) / 1000), 1), 0xffff_ffff)
}

function encodeWhole(
  message: Message,
  version: ProtocolVersion,
  qos: QoS,
  flags: number,
  packetId: number,
  identifiers: readonly number[],
  topicAlias: number,
  omitTopic: boolean,
  now: number,
): Buffer {
  const { topic, payload } = message
  const short = isShortText(topic)
  const topicBytes = omitTopic ? 0 : short ? topic.length : fieldLength(Buffer.byteLength(topic))
  const properties = version === 5 ? propertiesSize(message, identifiers, topicAlias) : 0
  let length = 2 + topicBytes + (qos > 0 ? 2 : 0) + payload.length
  if (version === 5) length += variableByteIntegerSize(properties) + properties

  const packet = Buffer.allocUnsafe(1 + variableByteIntegerSize(length) + length)
  packet[0] = PUBLISH | flags
  let position = writeVariableByteInteger(packet, length, 1)
  packet[position++] = topicBytes >> 8
  packet[position++] = topicBytes
  if (!omitTopic)
    position = short ? writeShortText(packet, topic, position) : position + packet.write(topic, position)
  if (qos > 0) {
    packet[position++] = packetId >> 8
    packet[position++] = packetId
  }
  if (version === 5) {
    position = writeVariableByteInteger(packet, properties, position)
    if (properties > 0) position = writeProperties(packet, position, message, identifiers, topicAlias, now)
  }
  packet.set(payload, position)
  return packet
}

function propertiesSize(message: Message, identifiers: readonly number[], topicAlias: number): number {
  let size = sharedProperties(message).length
  if (message.expiresAt !== undefined) size += EXPIRY_SIZE
  if (topicAlias !== 0) size += ALIAS_SIZE
  for (const identifier of identifiers) size += 1 + variableByteIntegerSize(identifier)
  return size
}

function writeProperties(
  packet: Buffer,
  start: number,
  message: Message,
  identifiers: readonly number[],
  topicAlias: number,
  now: number,
): number {
  let position = start
  if (message.expiresAt !== undefined) {
    packet[position++] = PropertyId.MessageExpiryInterval
    position = packet.writeUInt32BE(remainingSeconds(message.expiresAt, now), position)
  }
  if (topicAlias !== 0) {
    packet[position++] = PropertyId.TopicAlias
    position = packet.writeUInt16BE(topicAlias, position)
  }
  // Of every matching subscription that has one [MQTT-3.3.4-4].
  for (const identifier of identifiers) {
    packet[position++] = PropertyId.SubscriptionIdentifier
    position = writeVariableByteInteger(packet, identifier, position)
  }
  const shared = sharedProperties(message)
  packet.set(shared, position)
  return position + shared.length
}

/** The properties that go to every receiver unaltered, encoded once. */
function sharedProperties(message: Message): Buffer {
  const { properties } = message
  if (properties === undefined) return NO_BYTES
  const slots = (message.encoded ??= emptySlots())
  return (slots[PROPERTIES] ??= encodeProperties(properties))
}

const block = new PacketWriter()

function encodeProperties(properties: PublishProperties): Buffer {
  const { payloadFormat, contentType, responseTopic, correlationData } = properties
  block.begin()
  if (payloadFormat !== undefined) {
    block.uint8(PropertyId.PayloadFormatIndicator) // [MQTT-3.3.2-4]
    block.uint8(payloadFormat)
  }
  if (contentType !== undefined) {
    block.uint8(PropertyId.ContentType) // [MQTT-3.3.2-20]
    block.string(contentType)
  }
  if (responseTopic !== undefined) {
    block.uint8(PropertyId.ResponseTopic) // [MQTT-3.3.2-15]
    block.string(responseTopic)
  }
  if (correlationData !== undefined) {
    block.uint8(PropertyId.CorrelationData) // [MQTT-3.3.2-16]
    block.binary(correlationData)
  }
  writeUserProperties(block, properties.userProperties) // [MQTT-3.3.2-17]
  return block.copy()
}

/** Position behind the topic of an encoded PUBLISH: of the packet identifier, if it has one. */
function topicEnd(packet: Buffer): number {
  let position = 1
  while (byteAt(packet, position) >= 0x80) position++
  const length = (byteAt(packet, position + 1) << 8) | byteAt(packet, position + 2)
  return position + 3 + length
}

/** Position of the remaining seconds in an encoded PUBLISH whose first property they are. */
function expiryOffset(packet: Buffer, packetIdSize: 0 | 2): number {
  let position = topicEnd(packet) + packetIdSize
  while (byteAt(packet, position) >= 0x80) position++
  return position + 2
}
