import { deserialize, serialize } from 'node:v8'
import type { Clock } from '../contract/clock.js'
import { Message, type QoS } from '../contract/message.js'
import { toPacket } from './packets.js'

/** A packet as Aedes hands it to a persistence. What it has beyond a message is for Aedes to know. */
export interface AedesPacket {
  readonly topic: string
  readonly payload: Buffer | string
  readonly qos: QoS
  readonly retain: boolean
  readonly cmd?: string | undefined
  readonly dup?: boolean | undefined
  clientId?: string | undefined
  /** Milliseconds since the epoch. */
  readonly messageExpiry?: number | undefined
  brokerId?: string | undefined
  brokerCounter?: number | undefined
  messageId?: number | undefined
}

/**
 * A store keeps messages; a persistence has to give back what it was given, node and counter and all. The fields
 * that a message does not have travel in this user property, so that every store keeps them without knowing.
 */
const PACKET_PROPERTY = 'aedes-packet'

export function storedMessage(packet: AedesPacket, clock: Clock): Message {
  const { topic, payload, qos, retain, ...rest } = packet
  const text = typeof payload === 'string'
  const others = serialize({ text, rest }).toString('base64')
  return new Message({
    topic,
    payload: text ? Buffer.from(payload) : payload,
    qos,
    retain,
    publisherId: packet.clientId,
    receivedAt: clock.now(),
    expiresAt: packet.messageExpiry,
    properties: { userProperties: [[PACKET_PROPERTY, others]] },
  })
}

/** The packet that was stored; of a message that a session stored, the packet that Aedes would have made. */
export function storedPacket(message: Message): AedesPacket {
  const property = message.properties?.userProperties?.find(([name]) => name === PACKET_PROPERTY)
  if (property === undefined) return toPacket(message)
  const { text, rest } = deserialize(Buffer.from(property[1], 'base64')) as { text: boolean; rest: object }
  const { topic, payload, qos, retain } = message
  return { ...rest, topic, payload: text ? payload.toString() : payload, qos, retain }
}

/** What a queue keeps of a packet: the fields that Aedes copies, and no packet identifier yet. */
export function queuedPacket(packet: AedesPacket): AedesPacket {
  return {
    ...optional(packet, 'clientId', 'nl', 'properties', 'messageExpiry'),
    cmd: packet.cmd ?? 'publish',
    brokerId: packet.brokerId,
    brokerCounter: packet.brokerCounter ?? 0,
    topic: packet.topic,
    payload: packet.payload,
    qos: packet.qos,
    retain: packet.retain,
    dup: packet.dup ?? false,
    messageId: undefined,
  }
}

function optional(packet: object, ...names: readonly string[]): object {
  return Object.fromEntries(Object.entries(packet).filter(([name]) => names.includes(name)))
}
