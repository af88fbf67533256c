import type { Message } from '../../contract/message.js'
import { retainedFits, RetainedMessages, type RetainedLimits } from '../retained.js'

interface Ahead {
  readonly message: Message | undefined
  readonly order: number
}

/**
 * Retained messages: what everybody sees, what the batch under way will change, and which QoS 0 messages are
 * visible ahead of the disk. `undefined` stands for a topic that is cleared.
 */
export class LevelRetained {
  visible = new RetainedMessages()
  /** Changes of the batch under way: visible once it is on the disk, forgotten if it fails. */
  private readonly staged = new Map<string, Message | undefined>()
  /** Number and bytes as they will be with the batch under way. */
  private count = 0
  private bytes = 0
  /** Visible already, written behind. The disk follows at the latest when the store can be written again. */
  private readonly ahead = new Map<string, Ahead>()
  private lastOrder = 0

  constructor(
    private readonly limits: RetainedLimits,
    private readonly now: () => number,
  ) {}

  /** The place of a retained publish among all of them, given out in the order of the calls. */
  nextOrder(): number {
    return ++this.lastOrder
  }

  /** Whether a publish that came later is visible already: the earlier one must not take its place. */
  overtaken(topic: string, order: number): boolean {
    const ahead = this.ahead.get(topic)
    return ahead !== undefined && ahead.order > order
  }

  /** Takes part in the batch under way. False: no room. */
  stage(topic: string, message: Message | undefined): boolean {
    if (!this.hasRoom(topic, message)) return false
    this.project(topic, message)
    this.staged.set(topic, message)
    return true
  }

  /** Makes a message visible now. False: no room. */
  show(topic: string, message: Message | undefined, order: number): boolean {
    if (!this.hasRoom(topic, message)) return false
    this.project(topic, message)
    this.staged.delete(topic)
    this.ahead.set(topic, { message, order })
    this.apply(topic, message)
    return true
  }

  /** Topics whose messages have expired and stand in the way of others. */
  expired(): readonly string[] {
    return this.visible.expired(this.now())
  }

  /** The message that has to be written for a topic that is ahead of the disk; undefined: none any more. */
  aheadOf(topic: string, order: number): Ahead | undefined {
    const ahead = this.ahead.get(topic)
    return ahead?.order === order ? ahead : undefined
  }

  /** The disk has caught up. */
  written(topic: string, order: number): void {
    if (this.ahead.get(topic)?.order === order) this.ahead.delete(topic)
  }

  committed(): void {
    for (const [topic, message] of this.staged) this.apply(topic, message)
    this.settle()
  }

  failed(): void {
    this.settle()
  }

  /** Goes on with what was read from the disk. */
  restore(read: RetainedMessages): void {
    this.visible = read
    for (const [topic, { message }] of this.ahead) this.apply(topic, message)
    this.settle()
  }

  /** What the disk has yet to catch up with. */
  behind(): readonly (readonly [topic: string, order: number, bytes: number])[] {
    return [...this.ahead].map(([topic, { message, order }]) => [topic, order, message?.payload.length ?? 0])
  }

  private hasRoom(topic: string, message: Message | undefined): boolean {
    if (message === undefined) return true
    const former = this.staged.has(topic) ? this.staged.get(topic) : this.visible.get(topic)
    return retainedFits(message, former, this.count, this.bytes, this.limits)
  }

  private project(topic: string, message: Message | undefined): void {
    const former = this.staged.has(topic) ? this.staged.get(topic) : this.visible.get(topic)
    this.count += Number(message !== undefined) - Number(former !== undefined)
    this.bytes += (message?.payload.length ?? 0) - (former?.payload.length ?? 0)
  }

  private apply(topic: string, message: Message | undefined): void {
    if (message === undefined) this.visible.delete(topic)
    else this.visible.set(message)
  }

  private settle(): void {
    this.staged.clear()
    this.count = this.visible.count
    this.bytes = this.visible.bytes
  }
}
