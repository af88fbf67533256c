import type { Message } from '../contract/message.js'
import type { QueueEntry, ReadLimit, WriteDone } from '../contract/store.js'
import type { Delivery } from '../contract/subscription.js'

/**
 * Where the QoS 1 and 2 messages of a session wait. A durable session's is the store (`StoredSession` has these
 * members); a session that ends with its connection has a `VolatileQueue`.
 */
export interface DeliveryQueue {
  /** Entries after `sequence`, in order. */
  read(afterSequence: number, limit: ReadLimit): readonly QueueEntry[] | Promise<readonly QueueEntry[]>
  settle(sequence: number, done: WriteDone): void
  release(sequence: number, done: WriteDone): void
}

export interface QueueBounds {
  readonly messages: number
  readonly bytes: number
  readonly whenFull: 'refuse-new' | 'drop-oldest'
}

/**
 * The queue of a session without expiry: in memory, bounded in messages and payload bytes. Entries leave when
 * they are read, since nothing of them is ever sent twice.
 */
export class VolatileQueue implements DeliveryQueue {
  private entries: QueueEntry[] = []
  private head = 0
  private bytes = 0

  constructor(
    private readonly bounds: QueueBounds,
    private readonly onDropped: (count: number) => void,
  ) {}

  add(sequence: number, message: Message, delivery: Delivery): void {
    const size = message.payload.length
    if (!this.makeRoom(size)) {
      this.onDropped(1)
      return
    }
    this.entries.push({ sequence, message: message.kept(), delivery })
    this.bytes += size
  }

  read(_afterSequence: number, limit: ReadLimit): readonly QueueEntry[] {
    const taken: QueueEntry[] = []
    let bytes = 0
    while (taken.length < limit.messages) {
      const entry = this.entries[this.head]
      if (entry === undefined) break
      const size = entry.message?.payload.length ?? 0
      if (taken.length > 0 && bytes + size > limit.bytes) break
      bytes += size
      taken.push(entry)
      this.shift(size)
    }
    return taken
  }

  settle(_sequence: number, done: WriteDone): void {
    done(undefined)
  }

  release(_sequence: number, done: WriteDone): void {
    done(undefined)
  }

  /** Everything that is still waiting; the queue is empty afterwards. */
  drain(): readonly QueueEntry[] {
    return this.read(0, { messages: Infinity, bytes: Infinity })
  }

  get size(): number {
    return this.entries.length - this.head
  }

  private makeRoom(size: number): boolean {
    const { messages, bytes, whenFull } = this.bounds
    if (this.size < messages && this.bytes + size <= bytes) return true
    if (whenFull === 'refuse-new' || size > bytes) return false
    let dropped = 0
    while (this.size > 0 && (this.size >= messages || this.bytes + size > bytes)) {
      this.shift(this.entries[this.head]?.message?.payload.length ?? 0)
      dropped++
    }
    this.onDropped(dropped)
    return true
  }

  private shift(size: number): void {
    this.head++
    this.bytes -= size
    // Compacted when more than half is spent: amortised constant, no chain of array shifts.
    if (this.head > 32 && this.head * 2 > this.entries.length) {
      this.entries = this.entries.slice(this.head)
      this.head = 0
    } else if (this.head === this.entries.length) {
      this.entries.length = 0
      this.head = 0
    }
  }
}
