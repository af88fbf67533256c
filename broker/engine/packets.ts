import type { ISubscription } from 'mqtt-packet'
import type { PublishPacket, Subscription as PacketSubscription } from 'aedes'
import { GatewayError } from '../contract/errors.js'
import { Message, type PublishProperties } from '../contract/message.js'
import type { Subscription } from '../contract/subscription.js'
import { formatFilter, parseFilter, type TopicLimits } from '../contract/topic.js'

/** Messages and subscriptions in the shape that Aedes documents for hooks, events and `publish`: mqtt-packet's. */

type PacketProperties = NonNullable<PublishPacket['properties']>
type PacketUserProperties = NonNullable<PacketProperties['userProperties']>

/** What Aedes can take; sessions have checked against the configured limits before. */
export const ENGINE_LIMITS: TopicLimits = { maxLevels: 100, maxBytes: 65_535 }

/**
 * The packet that `published` hooks and `publish` listeners see. `properties` is made when somebody asks: most
 * programs never do, and most messages have none.
 */
export class PublishedPacket {
  readonly cmd = 'publish'
  readonly topic: string
  readonly payload: Buffer
  readonly qos: 0 | 1 | 2
  readonly retain: boolean
  readonly dup = false
  readonly clientId: string | undefined
  readonly #message: Message

  constructor(message: Message) {
    this.topic = message.topic
    this.payload = message.payload
    this.qos = message.qos
    this.retain = message.retain
    this.clientId = message.publisherId
    this.#message = message
  }

  get properties(): PacketProperties | undefined {
    return packetProperties(this.#message)
  }
}

/** A packet of its own for a hook that may change it. */
export function toPacket(message: Message): PublishPacket {
  const properties = packetProperties(message)
  const packet: PublishPacket = {
    cmd: 'publish',
    topic: message.topic,
    payload: message.own().payload,
    qos: message.qos,
    retain: message.retain,
    dup: false,
  }
  return properties === undefined ? packet : { ...packet, properties }
}

/** Undefined when there are none. */
export function packetProperties(message: Message): PacketProperties | undefined {
  const { properties, expiresAt } = message
  if (properties === undefined && expiresAt === undefined) return undefined
  const packet: PacketProperties = {}
  if (expiresAt !== undefined)
    packet.messageExpiryInterval = Math.ceil((expiresAt - message.receivedAt) / 1_000)
  if (properties === undefined) return packet
  if (properties.payloadFormat !== undefined) packet.payloadFormatIndicator = properties.payloadFormat === 1
  if (properties.contentType !== undefined) packet.contentType = properties.contentType
  if (properties.responseTopic !== undefined) packet.responseTopic = properties.responseTopic
  if (properties.correlationData !== undefined) packet.correlationData = properties.correlationData
  if (properties.userProperties !== undefined)
    packet.userProperties = userProperties(properties.userProperties)
  return packet
}

export interface PacketFields {
  readonly topic: string
  readonly payload?: string | Buffer | undefined
  readonly qos?: 0 | 1 | 2 | undefined
  readonly retain?: boolean | undefined
  readonly properties?: PacketProperties | undefined
}

/** A message of the embedding program; everything but the topic may be left out, as Aedes documents. */
export function fromPacket(
  packet: PacketFields,
  receivedAt: number,
  publisherId: string | undefined,
): Message {
  const { payload, properties } = packet
  const interval = properties?.messageExpiryInterval
  return new Message({
    topic: packet.topic,
    payload:
      payload === undefined ? Buffer.alloc(0) : typeof payload === 'string' ? Buffer.from(payload) : payload,
    qos: packet.qos ?? 0,
    retain: packet.retain ?? false,
    properties: properties === undefined ? undefined : fromProperties(properties),
    publisherId,
    receivedAt,
    expiresAt: interval === undefined ? undefined : receivedAt + interval * 1_000,
  })
}

export function toPacketSubscription(subscription: Subscription): PacketSubscription {
  return {
    topic: formatFilter(subscription),
    qos: subscription.qos,
    nl: subscription.noLocal,
    rap: subscription.retainAsPublished,
    rh: subscription.retainHandling,
  }
}

/** Throws `TOPIC_INVALID`. */
export function fromPacketSubscription(
  { topic, qos, nl, rap, rh }: ISubscription,
  identifier: number | undefined,
): Subscription {
  const parsed = parseFilter(topic, ENGINE_LIMITS)
  if (typeof parsed === 'string') throw new GatewayError('TOPIC_INVALID', `invalid topic filter: ${parsed}`)
  const { filter, share } = parsed
  // Written out: with a spread each of them has a hidden class of its own, which is 270 bytes a subscription.
  return {
    filter,
    share,
    qos,
    noLocal: nl ?? false,
    retainAsPublished: rap ?? false,
    retainHandling: rh === 1 || rh === 2 ? rh : 0,
    identifier,
  }
}

/** As mqtt-packet has them: a list under a name that comes more than once. Without prototype: names are the client's. */
function userProperties(pairs: NonNullable<PublishProperties['userProperties']>): PacketUserProperties {
  const byName = Object.create(null) as Record<string, string | string[]>
  for (const [name, value] of pairs) {
    const present = byName[name]
    if (present === undefined) byName[name] = value
    else if (typeof present === 'string') byName[name] = [present, value]
    else present.push(value)
  }
  return byName
}

function fromProperties(packet: PacketProperties): PublishProperties | undefined {
  const pairs = Object.entries(packet.userProperties ?? {}).flatMap(([name, values]) =>
    [values].flat().map((value) => [name, value] as const),
  )
  const properties: PublishProperties = {
    ...(packet.payloadFormatIndicator === undefined
      ? undefined
      : { payloadFormat: packet.payloadFormatIndicator ? (1 as const) : (0 as const) }),
    ...(packet.contentType === undefined ? undefined : { contentType: packet.contentType }),
    ...(packet.responseTopic === undefined ? undefined : { responseTopic: packet.responseTopic }),
    ...(packet.correlationData === undefined ? undefined : { correlationData: packet.correlationData }),
    ...(pairs.length === 0 ? undefined : { userProperties: pairs }),
  }
  return Object.keys(properties).length === 0 ? undefined : properties
}
