import type { ByteReader, ByteWriter } from './bytes.js'
import { Message, type PublishProperties, type QoS, type UserProperties } from './message.js'

/** Messages as they stand in the store and travel between nodes. What is absent costs a bit. */

const QOS = 0x03
const RETAIN = 0x04
const HAS_PUBLISHER = 0x08
const HAS_EXPIRY = 0x10
const HAS_PROPERTIES = 0x20

export function writeMessage<Writer extends ByteWriter>(to: Writer, message: Message): Writer {
  const { topic, payload, qos, publisherId, expiresAt, properties } = message
  to.byte(
    qos |
      (message.retain ? RETAIN : 0) |
      (publisherId === undefined ? 0 : HAS_PUBLISHER) |
      (expiresAt === undefined ? 0 : HAS_EXPIRY) |
      (properties === undefined ? 0 : HAS_PROPERTIES),
  )
  to.text(topic).time(message.receivedAt)
  if (publisherId !== undefined) to.text(publisherId)
  if (expiresAt !== undefined) to.time(expiresAt)
  if (properties !== undefined) writeProperties(to, properties)
  return to.bytes(payload)
}

/** The payload is a view of what is read. */
export function readMessage(from: ByteReader): Message {
  const flags = from.byte()
  return new Message({
    qos: qosOf(flags, from),
    retain: (flags & RETAIN) !== 0,
    topic: from.text(),
    receivedAt: from.time(),
    publisherId: (flags & HAS_PUBLISHER) === 0 ? undefined : from.text(),
    expiresAt: (flags & HAS_EXPIRY) === 0 ? undefined : from.time(),
    properties: (flags & HAS_PROPERTIES) === 0 ? undefined : readProperties(from),
    payload: from.bytes(),
  })
}

/** The QoS in the two lowest bits. `from`: what the flags were read from. */
export function qosOf(flags: number, from: ByteReader): QoS {
  const qos = flags & QOS
  if (qos === 3) throw from.damaged('QoS 3')
  return qos as QoS
}

const FORMAT_GIVEN = 0x01
const FORMAT_IS_TEXT = 0x02
const HAS_CONTENT_TYPE = 0x04
const HAS_RESPONSE_TOPIC = 0x08
const HAS_CORRELATION = 0x10
const HAS_USER_PROPERTIES = 0x20

function writeProperties(to: ByteWriter, properties: PublishProperties): void {
  const { payloadFormat, contentType, responseTopic, correlationData, userProperties } = properties
  to.byte(
    (payloadFormat === undefined ? 0 : FORMAT_GIVEN) |
      (payloadFormat === 1 ? FORMAT_IS_TEXT : 0) |
      (contentType === undefined ? 0 : HAS_CONTENT_TYPE) |
      (responseTopic === undefined ? 0 : HAS_RESPONSE_TOPIC) |
      (correlationData === undefined ? 0 : HAS_CORRELATION) |
      (userProperties === undefined ? 0 : HAS_USER_PROPERTIES),
  )
  if (contentType !== undefined) to.text(contentType)
  if (responseTopic !== undefined) to.text(responseTopic)
  if (correlationData !== undefined) to.bytes(correlationData)
  if (userProperties === undefined) return
  to.number(userProperties.length)
  for (const [name, value] of userProperties) to.text(name).text(value)
}

function readProperties(from: ByteReader): PublishProperties {
  const flags = from.byte()
  return {
    ...((flags & FORMAT_GIVEN) !== 0 && { payloadFormat: (flags & FORMAT_IS_TEXT) === 0 ? 0 : 1 }),
    ...((flags & HAS_CONTENT_TYPE) !== 0 && { contentType: from.text() }),
    ...((flags & HAS_RESPONSE_TOPIC) !== 0 && { responseTopic: from.text() }),
    // A copy: a few bytes must not keep all that was read in memory.
    ...((flags & HAS_CORRELATION) !== 0 && { correlationData: Buffer.from(from.bytes()) }),
    ...((flags & HAS_USER_PROPERTIES) !== 0 && { userProperties: readUserProperties(from) }),
  }
}

function readUserProperties(from: ByteReader): UserProperties {
  const pairs: (readonly [string, string])[] = []
  // A count that lies runs into the end, which throws.
  for (let left = from.number(); left > 0; left--) pairs.push([from.text(), from.text()])
  return pairs
}
