/**
 * What an entry costs besides its bytes (a Buffer object, a slot): without it, two million unread 4-byte PUBACKs
 * would count as 8 MiB and take 300.
 */
export const ENTRY_OVERHEAD = 64

/**
 * From this size on an entry leaves alone, so that it need not be copied into a frame with others: a `writev` of
 * header and entry costs as much as one write of a copy at 8 KiB, 20 % less at 64 KiB, half at 256 KiB (measured).
 */
export const LARGE_ENTRY = 16_384

/**
 * The bytes that wait for one connection, in order. Droppable entries can be shed, oldest first; each entry is
 * looked at once on the way, so that shedding and taking cost O(1) amortised.
 */
export class OutboxQueue {
  /** Bytes of the entries that wait. */
  bytes = 0
  /** Entries that wait. */
  length = 0

  private entries: (Buffer | undefined)[] = NO_ENTRIES
  private droppable: boolean[] = NO_FLAGS
  private large = 0
  /** Slots before it are taken. */
  private head = 0
  /** No droppable entry waits before it. */
  private shedFrom = 0

  /** What the limits of an outbox are compared with. */
  get weight(): number {
    return this.bytes + this.length * ENTRY_OVERHEAD
  }

  push(bytes: Buffer, droppable: boolean): void {
    if (this.entries.length === 0) {
      // Literals have room for what is in them; a first `push` makes room for 17, and most writes are of one entry.
      this.entries = [bytes]
      this.droppable = [droppable]
    } else {
      this.entries.push(bytes)
      this.droppable.push(droppable)
    }
    this.bytes += bytes.length
    this.length++
    if (bytes.length >= LARGE_ENTRY) this.large++
  }

  /**
   * Takes the oldest entries: at most `maxBytes` of them (the first always), large ones alone. The array is the
   * caller's; with nothing shed and nothing large it is the queue's own, so that the common case copies nothing.
   */
  take(maxBytes: number): Buffer[] {
    const untouched = this.length === this.entries.length
    if (untouched && this.bytes <= maxBytes && (this.large === 0 || this.length === 1)) {
      const all = this.entries as Buffer[]
      this.clear()
      return all
    }
    const batch: Buffer[] = []
    let taken = 0
    for (; this.head < this.entries.length; this.head++) {
      const entry = this.entries[this.head]
      if (entry === undefined) continue
      const isLarge = entry.length >= LARGE_ENTRY
      if (batch.length > 0 && (isLarge || taken + entry.length > maxBytes)) break
      this.remove(this.head, entry)
      batch.push(entry)
      taken += entry.length
      if (isLarge) {
        this.head++
        break
      }
    }
    if (this.length === 0) this.clear()
    else this.compact()
    return batch
  }

  /** Drops droppable entries, oldest first, until `weight` is at most `limit`; returns how many. */
  shed(limit: number): number {
    let dropped = 0
    let at = Math.max(this.shedFrom, this.head)
    for (; this.weight > limit && at < this.entries.length; at++) {
      const entry = this.entries[at]
      if (entry === undefined || this.droppable[at] === false) continue
      this.remove(at, entry)
      dropped++
    }
    this.shedFrom = at
    if (this.length === 0) this.clear()
    else this.compact()
    return dropped
  }

  clear(): void {
    this.entries = NO_ENTRIES
    this.droppable = NO_FLAGS
    this.bytes = this.length = this.large = this.head = this.shedFrom = 0
  }

  private remove(at: number, entry: Buffer): void {
    this.entries[at] = undefined
    this.bytes -= entry.length
    this.length--
    if (entry.length >= LARGE_ENTRY) this.large--
  }

  /** Slots of entries that are gone may not outnumber those that wait: a queue that never empties stays bounded. */
  private compact(): void {
    if (this.entries.length < COMPACT_FROM || this.length * 2 > this.entries.length) return
    const entries: Buffer[] = []
    const droppable: boolean[] = []
    let shedFrom = 0
    for (let at = this.head; at < this.entries.length; at++) {
      const entry = this.entries[at]
      if (entry === undefined) continue
      if (at < this.shedFrom) shedFrom++
      entries.push(entry)
      droppable.push(this.droppable[at] === true)
    }
    this.entries = entries
    this.droppable = droppable
    this.head = 0
    this.shedFrom = shedFrom
  }
}

const COMPACT_FROM = 64
/** Of every empty queue; never added to. */
const NO_ENTRIES: (Buffer | undefined)[] = []
const NO_FLAGS: boolean[] = []
