import { hasWildcard } from '../contract/topic.js'
import type { Message } from '../contract/message.js'
import type { StoreLimits } from '../contract/store.js'

export type RetainedLimits = Pick<StoreLimits, 'retainedMessages' | 'retainedBytes'>

/** Messages in a chunk of `Store.retained`. */
const RETAINED_CHUNK = 256
const SWEEP_INTERVAL_MS = 1_000

interface Level {
  readonly parent: Level | undefined
  readonly name: string
  children: Map<string, Level> | undefined
  message: Message | undefined
}

/**
 * Retained messages in memory: a tree by topic level, so that a lookup walks what its filter can match and not
 * all there is, and a map by topic, because most retained publishes replace what is there.
 *
 * A walk finds exactly the topics for which `filterMatches` of the topic algebra says yes; a property test
 * compares the two.
 */
export class RetainedMessages {
  private readonly root: Level = { parent: undefined, name: '', children: undefined, message: undefined }
  private readonly byTopic = new Map<string, Level>()
  private payloadBytes = 0
  /** No message expires before this, milliseconds since the epoch. */
  private earliestExpiry = Infinity
  private sweptAt = -Infinity

  get count(): number {
    return this.byTopic.size
  }

  /** Payload bytes of all messages. */
  get bytes(): number {
    return this.payloadBytes
  }

  get(topic: string): Message | undefined {
    return this.byTopic.get(topic)?.message
  }

  /** Keeps the message under its topic in place of an earlier one, and makes it own its payload. */
  set(message: Message): void {
    let level = this.byTopic.get(message.topic)
    if (level === undefined) {
      level = this.grow(message.topic)
      this.byTopic.set(message.topic, level)
    } else this.payloadBytes -= level.message?.payload.length ?? 0
    level.message = ownUnpooled(message)
    this.payloadBytes += message.payload.length
    if (message.expiresAt !== undefined && message.expiresAt < this.earliestExpiry)
      this.earliestExpiry = message.expiresAt
  }

  delete(topic: string): boolean {
    const level = this.byTopic.get(topic)
    if (level === undefined) return false
    this.byTopic.delete(topic)
    this.payloadBytes -= level.message?.payload.length ?? 0
    level.message = undefined
    prune(level)
    return true
  }

  *values(): Generator<Message> {
    for (const level of this.byTopic.values()) if (level.message !== undefined) yield level.message
  }

  /**
   * Messages whose topics the filter matches. Messages may be set and deleted between two steps of the walk;
   * whether it still comes across them is then open.
   */
  *matching(filter: string): Generator<Message> {
    if (!hasWildcard(filter)) {
      const message = this.get(filter)
      if (message !== undefined) yield message
      return
    }
    // A stack of its own: topics may have more levels than the call stack has room for.
    const levels = filter.split('/')
    const pending: { readonly from: Iterator<Level>; readonly depth: number }[] = []
    const visit = (level: Level, depth: number): Message | undefined => {
      const part = levels[depth]
      if (part === undefined) return level.message
      const children = level.children
      if (part === '#') {
        if (children !== undefined) pending.push({ from: children.values(), depth })
        return level.message // `a/#` matches `a` too (4.7.1.2)
      }
      if (part === '+') {
        if (children !== undefined) pending.push({ from: children.values(), depth: depth + 1 })
      } else {
        const child = children?.get(part)
        if (child !== undefined) pending.push({ from: [child].values(), depth: depth + 1 })
      }
      return undefined
    }
    const first = visit(this.root, 0)
    if (first !== undefined) yield first
    for (let top = pending.at(-1); top !== undefined; top = pending.at(-1)) {
      const step = top.from.next()
      if (step.done === true) {
        pending.pop()
        continue
      }
      const level = step.value
      // Wildcards at the first level do not see topics that begin with `$` [MQTT-4.7.2-1].
      if (level.parent === this.root && level.name.startsWith('$') && levels[0] !== level.name) continue
      const message = visit(level, top.depth)
      if (message !== undefined) yield message
    }
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

  private grow(topic: string): Level {
    let level = this.root
    for (const name of topic.split('/')) {
      level.children ??= new Map()
      let child = level.children.get(name)
      if (child === undefined) {
        child = { parent: level, name, children: undefined, message: undefined }
        level.children.set(name, child)
      }
      level = child
    }
    return level
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
  for (const message of retained.matching(filter)) {
    if (message.expired(now)) {
      onExpired(message.topic)
      continue
    }
    chunk.push(message)
    if (chunk.length === RETAINED_CHUNK) {
      yield chunk
      chunk = []
    }
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

function prune(level: Level): void {
  let at = level
  while (at.parent !== undefined && at.message === undefined && (at.children?.size ?? 0) === 0) {
    const parent = at.parent
    parent.children?.delete(at.name)
    if (parent.children?.size === 0) parent.children = undefined
    at = parent
  }
}
