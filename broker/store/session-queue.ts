import type { StoreLimits } from '../contract/store.js'
import type { Delivery } from '../contract/subscription.js'
import { SequenceQueue } from './sequence-queue.js'

/** The delivery of a released entry. */
export const RELEASED_DELIVERY: Delivery = { qos: 2, retain: false, identifiers: [], sharedFilter: undefined }

/** How a store's own entries look to the rules below. */
export interface EntryTraits<T> {
  /** Payload bytes; 0 once released. */
  size(entry: T): number
  /** Whether only PUBREL is left to send. */
  released(entry: T): boolean
  expired(entry: T, now: number): boolean
}

export type QueueLimits = Pick<StoreLimits, 'queuedMessages' | 'queuedBytes' | 'whenFull'>
export type Removed<T> = (sequence: number, entry: T, why: 'evicted' | 'expired') => void

/** The queue of one session with its bounds: the same rules for every store. */
export class SessionQueue<T extends number | object> extends SequenceQueue<T> {
  private payloadBytes = 0

  constructor(private readonly traits: EntryTraits<T>) {
    super()
  }

  /** Payload bytes in the queue. */
  get bytes(): number {
    return this.payloadBytes
  }

  override push(entry: T): number {
    this.payloadBytes += this.traits.size(entry)
    return super.push(entry)
  }

  override replace(sequence: number, entry: T): void {
    const former = this.get(sequence)
    if (former === undefined) return
    this.payloadBytes += this.traits.size(entry) - this.traits.size(former)
    super.replace(sequence, entry)
  }

  override delete(sequence: number): T | undefined {
    const entry = super.delete(sequence)
    if (entry !== undefined) this.payloadBytes -= this.traits.size(entry)
    return entry
  }

  /**
   * Makes room for a message of `size` payload bytes. False: it must not be queued. What has expired at the head
   * goes first, whatever the policy; a message that no empty queue could take evicts nothing.
   */
  makeRoom(size: number, limits: QueueLimits, now: number, removed: Removed<T>): boolean {
    if (this.fits(size, limits)) return true
    if (size > limits.queuedBytes) return false
    while (!this.fits(size, limits)) {
      const oldest = this.oldestMessage()
      if (oldest === undefined) return false
      const [sequence, entry] = oldest
      const expired = this.traits.expired(entry, now)
      if (!expired && limits.whenFull === 'refuse-new') return false
      this.delete(sequence)
      removed(sequence, entry, expired ? 'expired' : 'evicted')
    }
    return true
  }

  private fits(size: number, limits: QueueLimits): boolean {
    return this.size < limits.queuedMessages && this.payloadBytes + size <= limits.queuedBytes
  }

  /**
   * Released entries are passed over: they hold no message, and without them the client would wait for a PUBREL
   * for ever. There are at most as many as fit into an inflight window, so the walk is short.
   */
  private oldestMessage(): readonly [number, T] | undefined {
    const head = this.get(this.first)
    if (head !== undefined && !this.traits.released(head)) return [this.first, head]
    for (const found of this.after(0)) if (!this.traits.released(found[1])) return found
    return undefined
  }
}
