import { Message, type PublishProperties, type QoS, type UserProperties } from '../../contract/message.js'
import { DamagedEntry, EntryWriter, type EntryReader } from './entry-bytes.js'

const QOS = 0x03
const RETAIN = 0x04
const HAS_PUBLISHER = 0x08
const HAS_EXPIRY = 0x10
const HAS_PROPERTIES = 0x20

/** Messages as they stand in entries: written once, however many nodes want them. */
export class MessageBodies {
  private readonly writer = new EntryWriter()
  private message: Message | undefined = undefined

  /** A view, valid until the next call. */
  of(message: Message): Buffer {
    if (this.message !== message) {
      this.message = message
      writeMessage(this.writer.start(), message)
    }
    return this.writer.fields()
  }

  /** Lets go of the message that was written last. */
  forget(): void {
    this.message = undefined
  }
}

function writeMessage(writer: EntryWriter, message: Message): void {
  const { topic, payload, qos, publisherId, expiresAt, properties } = message
  writer
    .byte(
      qos |
        (message.retain ? RETAIN : 0) |
        (publisherId === undefined ? 0 : HAS_PUBLISHER) |
        (expiresAt === undefined ? 0 : HAS_EXPIRY) |
        (properties === undefined ? 0 : HAS_PROPERTIES),
    )
    .text(topic)
    .time(message.receivedAt)
  if (publisherId !== undefined) writer.text(publisherId)
  if (expiresAt !== undefined) writer.time(expiresAt)
  if (properties !== undefined) writeProperties(writer, properties)
  writer.bytes(payload)
}

/**
 * The payload is a view of the entry at QoS 0, where nobody keeps it; above it has memory of its own, or a receiver
 * that is slow to acknowledge would hold on to all that was read together with it.
 */
export function readMessage(reader: EntryReader): Message {
  const flags = reader.byte()
  const qos = qosOf(flags & QOS)
  const topic = reader.text()
  const receivedAt = reader.time()
  const message = new Message({
    topic,
    qos,
    retain: (flags & RETAIN) !== 0,
    receivedAt,
    publisherId: (flags & HAS_PUBLISHER) === 0 ? undefined : reader.text(),
    expiresAt: (flags & HAS_EXPIRY) === 0 ? undefined : reader.time(),
    properties: (flags & HAS_PROPERTIES) === 0 ? undefined : readProperties(reader),
    payload: reader.bytes(),
  })
  return qos === 0 ? message : message.own()
}

export function qosOf(value: number): QoS {
  if (value === 0 || value === 1 || value === 2) return value
  throw new DamagedEntry(`QoS ${value}`)
}

const FORMAT_GIVEN = 0x01
const FORMAT_IS_TEXT = 0x02
const HAS_CONTENT_TYPE = 0x04
const HAS_RESPONSE_TOPIC = 0x08
const HAS_CORRELATION = 0x10
const HAS_USER_PROPERTIES = 0x20

function writeProperties(writer: EntryWriter, properties: PublishProperties): void {
  const { payloadFormat, contentType, responseTopic, correlationData, userProperties } = properties
  writer.byte(
    (payloadFormat === undefined ? 0 : FORMAT_GIVEN) |
      (payloadFormat === 1 ? FORMAT_IS_TEXT : 0) |
      (contentType === undefined ? 0 : HAS_CONTENT_TYPE) |
      (responseTopic === undefined ? 0 : HAS_RESPONSE_TOPIC) |
      (correlationData === undefined ? 0 : HAS_CORRELATION) |
      (userProperties === undefined ? 0 : HAS_USER_PROPERTIES),
  )
  if (contentType !== undefined) writer.text(contentType)
  if (responseTopic !== undefined) writer.text(responseTopic)
  if (correlationData !== undefined) writer.bytes(correlationData)
  if (userProperties === undefined) return
  writer.number(userProperties.length)
  for (const [name, value] of userProperties) writer.text(name).text(value)
}

function readProperties(reader: EntryReader): PublishProperties {
  const flags = reader.byte()
  return {
    ...((flags & FORMAT_GIVEN) !== 0 && { payloadFormat: (flags & FORMAT_IS_TEXT) === 0 ? 0 : 1 }),
    ...((flags & HAS_CONTENT_TYPE) !== 0 && { contentType: reader.text() }),
    ...((flags & HAS_RESPONSE_TOPIC) !== 0 && { responseTopic: reader.text() }),
    ...((flags & HAS_CORRELATION) !== 0 && { correlationData: Buffer.from(reader.bytes()) }),
    ...((flags & HAS_USER_PROPERTIES) !== 0 && { userProperties: readUserProperties(reader) }),
  }
}

function readUserProperties(reader: EntryReader): UserProperties {
  const count = reader.number()
  const properties: [string, string][] = []
  // A count that lies runs into the end of the entry, which throws.
  for (let i = 0; i < count; i++) properties.push([reader.text(), reader.text()])
  return properties
}
