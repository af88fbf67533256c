import type { PublishProperties, QoS } from '../contract/message.js'
import { byteAt } from './byte-at.js'
import { MessageProperties } from './message-properties.js'
import type { PacketHandler, ProtocolVersion } from './packet.js'
import { PacketReader } from './packet-reader.js'
import { allowedProperties, PropertyId } from './properties.js'
import { textFault } from './text.js'
import { TopicMemory } from './topic-memory.js'
import { wireRules, type WireRule } from './wire-rules.js'

/** One for all connections: properties are read to their end before the handler is called. */
const reader = new PacketReader()

/**
 * Decodes PUBLISH, the packet that everything waits for: without properties the only thing it makes is the view
 * of the payload. The fixed header's flags have been checked.
 */
export class PublishLane {
  private readonly topics = new TopicMemory()
  /** Topic of each alias of this connection [MQTT-3.3.2-7]; at most `topicAliasMaximum` of them. */
  private readonly aliases = new Map<number, string>()
  private topicAlias = 0

  /** Of the connection; set when CONNECT has said so. */
  version: ProtocolVersion = 5

  constructor(
    private readonly handler: PacketHandler,
    /** 0 to 65,535; 0: none. */
    private readonly topicAliasMaximum: number,
  ) {}

  /**
   * Hands the packet in `bytes[start..end)` (behind the fixed header) to the handler, or returns the rule that it
   * breaks. `wireLength` counts the fixed header.
   */
  decode(bytes: Buffer, first: number, start: number, end: number, wireLength: number): WireRule | undefined {
    let position = start + 2
    if (position > end) return wireRules.truncated
    const topicLength = (byteAt(bytes, start) << 8) | byteAt(bytes, start + 1)
    const topicEnd = position + topicLength
    if (topicEnd > end) return wireRules.truncated
    let topic: string | undefined = ''
    if (topicLength > 0) {
      topic = this.topics.recall(bytes, position, topicEnd)
      if (topic === undefined) {
        topic = bytes.toString('utf8', position, topicEnd)
        const fault = textFault(topic, bytes, position, topicEnd)
        if (fault !== undefined) return fault
        this.topics.keep(topic, bytes, position, topicEnd)
      }
    }
    position = topicEnd

    const qos = ((first >> 1) & 3) as QoS
    let packetId = 0
    if (qos > 0) {
      if (position + 2 > end) return wireRules.truncated
      packetId = (byteAt(bytes, position) << 8) | byteAt(bytes, position + 1)
      if (packetId === 0) return wireRules.packetIdZero
      position += 2
    }

    let properties: PublishProperties | undefined
    let messageExpiryInterval: number | undefined
    if (this.version === 5) {
      if (position === end) return wireRules.truncated
      if (bytes[position] === 0) position++
      else {
        reader.open(bytes, position, end)
        const read = this.readProperties()
        if (reader.fault !== undefined) return reader.fault
        properties = read.published
        messageExpiryInterval = read.messageExpiryInterval
        position = reader.offset
        if (this.topicAlias !== 0) {
          if (topicLength > 0) this.aliases.set(this.topicAlias, topic)
          else {
            topic = this.aliases.get(this.topicAlias)
            if (topic === undefined) return wireRules.topicAliasUnknown
          }
        }
      }
    }
    if (topic.length === 0) return wireRules.topicMissing

    this.handler.publish(
      topic,
      bytes.subarray(position, end),
      qos,
      (first & 0x01) !== 0,
      (first & 0x08) !== 0,
      packetId,
      properties,
      messageExpiryInterval,
      wireLength,
    )
    return undefined
  }

  /** Reads the property block; leaves the alias, 0 for none, in `topicAlias`. */
  private readProperties(): MessageProperties {
    const read = new MessageProperties()
    this.topicAlias = 0
    reader.enterProperties()
    for (let id; (id = reader.nextProperty(allowedProperties.publish)) !== 0;) {
      if (id === PropertyId.TopicAlias) this.topicAlias = this.readAlias()
      else if (id === PropertyId.SubscriptionIdentifier) {
        reader.fail(wireRules.subscriptionIdentifierFromClient)
      } else read.read(reader, id)
    }
    return read
  }

  private readAlias(): number {
    const alias = reader.uint16()
    if (reader.fault !== undefined) return 0
    if (alias === 0) reader.fail(wireRules.topicAliasZero)
    else if (alias > this.topicAliasMaximum) reader.fail(wireRules.topicAliasTooHigh)
    return alias
  }
}
