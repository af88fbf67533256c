import type { Message } from '../contract/message.js'
import type { StoreLimits } from '../contract/store.js'
import { TopicTree } from './topic-tree.js'

export type RetainedLimits = Pick<StoreLimits, 'retainedMessages' | 'retainedBytes'>

/** Messages and payload bytes in a chunk of `Store.retained`; a larger message comes alone. */
const RETAINED_CHUNK = { messages: 256, bytes: 65_536 }
const SWEEP_INTERVAL_MS = 1_000

/** Retained messages in memory, with what bounds and expiry have to know of them. */
export class RetainedMessages {
  private readonly tree = new TopicTree<Message>()
  private payloadBytes = 0
  /** No message expires before this, milliseconds since the epoch. */
  private earliestExpiry = Infinity
  private sweptAt = -Infinity

  get count(): number {
    return this.tree.count
  }

  /** Payload bytes of all messages. */
  get bytes(): number {
    return this.payloadBytes
  }

  get(topic: string): Message | undefined {
    return this.tree.get(topic)
  }

  /** Keeps the message under its topic in place of an earlier one, and makes it own its payload. */
  set(message: Message): void {
    const former = this.tree.set(message.topic, ownUnpooled(message.kept()))
    this.payloadBytes += message.payload.length - (former?.payload.length ?? 0)
    if (message.expiresAt !== undefined && message.expiresAt < this.earliestExpiry)
      this.earliestExpiry = message.expiresAt
  }

  delete(topic: string): boolean {
    const former = this.tree.delete(topic)
    if (former === undefined) return false
    this.payloadBytes -= former.payload.length
    return true
  }

  *values(): Generator<Message> {
    for (const [, message] of this.tree.entries()) yield message
  }

  /** Messages whose topics the filter matches; see `TopicTree.matching`. */
  *matching(filter: string): Generator<Message> {
    for (const [, message] of this.tree.matching(filter)) yield message
  }

  /**
   * Topics whose messages have expired: what a full store looks for before it refuses a message. The search goes
   * over everything, so it is made at most once a second, and only when something may have expired.
   */
  expired(now: number): readonly string[] {
    if (now < this.earliestExpiry || now - this.sweptAt < SWEEP_INTERVAL_MS) return []
    this.sweptAt = now
    this.earliestExpiry = Infinity
    const topics: string[] = []
    for (const message of this.values()) {
      if (message.expired(now)) topics.push(message.topic)
      else this.earliestExpiry = Math.min(this.earliestExpiry, message.expiresAt ?? Infinity)
    }
    return topics
  }
}

/**
 * Whether a store with `count` messages of `bytes` may take `message` in place of `former`. What replaces a
 * message and is not larger always may: a limit that was lowered must not freeze what is there.
 */
export function retainedFits(
  message: Message,
  former: Message | undefined,
  count: number,
  bytes: number,
  limits: RetainedLimits,
): boolean {
  const growth = message.payload.length - (former?.payload.length ?? 0)
  if (former === undefined) return count < limits.retainedMessages && bytes + growth <= limits.retainedBytes
  return growth <= 0 || bytes + growth <= limits.retainedBytes
}

/** The messages of a lookup in chunks; those that have expired go to `onExpired` instead. */
export function* retainedChunks(
  retained: RetainedMessages,
  filter: string,
  now: number,
  onExpired: (topic: string) => void,
): Generator<readonly Message[]> {
  let chunk: Message[] = []
  let bytes = 0
  for (const message of retained.matching(filter)) {
    if (message.expired(now)) {
      onExpired(message.topic)
      continue
    }
    const size = message.payload.length
    if (chunk.length === RETAINED_CHUNK.messages || (bytes > 0 && bytes + size > RETAINED_CHUNK.bytes)) {
      yield chunk
      chunk = []
      bytes = 0
      // It was found before the pause: a later one may have taken its place and gone out already.
      const current = retained.get(message.topic)
      if (current === undefined) continue
      chunk.push(current)
      bytes += current.payload.length
      continue
    }
    chunk.push(message)
    bytes += size
  }
  if (chunk.length > 0) yield chunk
}

/**
 * Gives the payload memory of its own. A retained message may stay for years: a slice of Node's buffer pool would
 * keep 8 KiB alive for a payload of 20 bytes.
 */
export function ownUnpooled(message: Message): Message {
  const { payload } = message
  if (payload.length === payload.buffer.byteLength) return message
  const copy = Buffer.allocUnsafeSlow(payload.length)
  payload.copy(copy)
  message.payload = copy
  return message
}
