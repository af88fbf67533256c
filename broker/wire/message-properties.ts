import type { PublishProperties, UserProperties } from '../contract/message.js'
import { hasWildcard } from '../contract/topic.js'
import type { PacketReader } from './packet-reader.js'
import { PropertyId } from './properties.js'
import { wireRules } from './wire-rules.js'

/**
 * The properties that PUBLISH and the Will have in common and that travel with the message. Both decoders hand
 * every property over that is not their own.
 */
export class MessageProperties {
  messageExpiryInterval: number | undefined = undefined

  private properties: Writable<PublishProperties> | undefined = undefined
  private userProperties: [string, string][] | undefined = undefined

  read(reader: PacketReader, identifier: number): void {
    if (identifier === PropertyId.MessageExpiryInterval) {
      this.messageExpiryInterval = reader.uint32()
      return
    }
    const properties = (this.properties ??= {})
    switch (identifier) {
      case PropertyId.PayloadFormatIndicator:
        properties.payloadFormat = reader.flag(wireRules.payloadFormat) ? 1 : 0
        break
      case PropertyId.ContentType:
        properties.contentType = reader.string()
        break
      case PropertyId.ResponseTopic:
        properties.responseTopic = responseTopic(reader)
        break
      case PropertyId.CorrelationData:
        properties.correlationData = reader.binary()
        break
      case PropertyId.UserProperty:
        this.userProperties ??= []
        this.userProperties.push(userProperty(reader))
        properties.userProperties = this.userProperties
        break
    }
  }

  get published(): PublishProperties | undefined {
    return this.properties
  }
}

export const noUserProperties: UserProperties = Object.freeze([])

export function userProperty(reader: PacketReader): [name: string, value: string] {
  return [reader.string(), reader.string()]
}

function responseTopic(reader: PacketReader): string {
  const topic = reader.string()
  if (topic === '') reader.fail(wireRules.responseTopicEmpty)
  else if (hasWildcard(topic)) reader.fail(wireRules.responseTopicWildcard)
  return topic
}

type Writable<T> = { -readonly [K in keyof T]: T[K] }
