import type { RetainedLimits } from '../retained.js'
import { TopicTree } from '../topic-tree.js'

/** What a node keeps in memory of a retained message. */
export interface RetainedInfo {
  /** Payload bytes. */
  readonly size: number
  readonly expiresAt: number | undefined
}

interface Staged {
  /** Undefined: cleared. */
  info: RetainedInfo | undefined
  /** Writes of this node for the topic that are under way. */
  writes: number
}

/**
 * The topics of all retained messages, in the memory of each node: what wildcard lookups walk, and what the bounds
 * are checked against. The messages stay in Redis, so that a topic whose message is replaced every second costs the
 * other nodes nothing. About 530 bytes a topic.
 *
 * Below: what Redis has, as far as this node has followed. Above: what this node is writing, visible at once.
 * With several nodes the bounds are those of this node's view, and may be passed by what others write in the same
 * moment.
 */
export class RetainedTopics {
  private readonly tree = new TopicTree<RetainedInfo>()
  private readonly staged = new Map<string, Staged>()
  private readonly bytesOf: number[] = []
  private storedBytes = 0
  /** What the writes under way add to the number and to the bytes. */
  private stagedCount = 0
  private stagedBytes = 0
  private earliestExpiry = Infinity
  private sweptAt = -Infinity

  constructor(private readonly limits: RetainedLimits) {}

  get count(): number {
    return this.tree.count + this.stagedCount
  }

  /** Shows what is being written. False: no room. Without an info the topic is cleared, for which there always is. */
  stage(topic: string, info: RetainedInfo | undefined): boolean {
    if (info !== undefined && !this.fits(topic, info)) return false
    this.change(topic, () => {
      const staged = this.staged.get(topic)
      if (staged === undefined) this.staged.set(topic, { info, writes: 1 })
      else {
        staged.info = info
        staged.writes++
      }
    })
    if (info?.expiresAt !== undefined) this.earliestExpiry = Math.min(this.earliestExpiry, info.expiresAt)
    return true
  }

  /** A write that was staged has come to its end. `written`: Redis has it. */
  unstage(topic: string, info: RetainedInfo | undefined, written: boolean): void {
    this.change(topic, () => {
      // A replaced message is not announced; its size is known here all the same.
      if (written && info !== undefined && this.tree.get(topic) !== undefined) this.tree.set(topic, info)
      const staged = this.staged.get(topic)
      if (staged === undefined) return
      staged.writes--
      if (staged.writes === 0) this.staged.delete(topic)
    })
  }

  /** What Redis has, as announced. */
  apply(topic: string, info: RetainedInfo | undefined): void {
    this.change(topic, () => {
      if (info === undefined) this.tree.delete(topic)
      else this.tree.set(topic, info)
    })
    if (info?.expiresAt !== undefined) this.earliestExpiry = Math.min(this.earliestExpiry, info.expiresAt)
  }

  /** What Redis has, read anew, of the topics for which `belongs` says yes. */
  replace(read: ReadonlyMap<string, RetainedInfo>, belongs: (topic: string) => boolean): void {
    for (const [topic] of [...this.tree.entries()])
      if (!read.has(topic) && belongs(topic)) this.apply(topic, undefined)
    for (const [topic, info] of read) this.apply(topic, info)
  }

  /** Payload bytes of all retained messages of a partition. */
  setBytes(partition: number, bytes: number): void {
    this.storedBytes += bytes - (this.bytesOf[partition] ?? 0)
    this.bytesOf[partition] = bytes
  }

  matching(filter: string): Generator<readonly [topic: string, info: RetainedInfo]> {
    return this.tree.matching(filter)
  }

  /** Topics that stand in the way of others though they have expired; looked for once a second at most. */
  expired(now: number): readonly string[] {
    if (now < this.earliestExpiry || now - this.sweptAt < SWEEP_INTERVAL_MS) return []
    this.sweptAt = now
    this.earliestExpiry = Infinity
    const topics: string[] = []
    for (const [topic, { expiresAt }] of this.tree.entries()) {
      if (expiresAt === undefined) continue
      if (expiresAt <= now) topics.push(topic)
      else this.earliestExpiry = Math.min(this.earliestExpiry, expiresAt)
    }
    return topics
  }

  private fits(topic: string, info: RetainedInfo): boolean {
    const former = this.visible(topic)
    const growth = info.size - (former?.size ?? 0)
    if (former === undefined && this.count >= this.limits.retainedMessages) return false
    if (former !== undefined && growth <= 0) return true
    return this.storedBytes + this.stagedBytes + growth <= this.limits.retainedBytes
  }

  private visible(topic: string): RetainedInfo | undefined {
    const staged = this.staged.get(topic)
    return staged === undefined ? this.tree.get(topic) : staged.info
  }

  /** Keeps the sums right while `task` changes what is stored or staged of a topic. */
  private change(topic: string, task: () => void): void {
    this.tally(topic, -1)
    task()
    this.tally(topic, 1)
  }

  private tally(topic: string, sign: 1 | -1): void {
    const staged = this.staged.get(topic)
    if (staged === undefined) return
    const stored = this.tree.get(topic)
    this.stagedCount += sign * (Number(staged.info !== undefined) - Number(stored !== undefined))
    this.stagedBytes += sign * ((staged.info?.size ?? 0) - (stored?.size ?? 0))
  }
}

const SWEEP_INTERVAL_MS = 1_000
