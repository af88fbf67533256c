/**
 * Values under ascending sequence numbers, handed out from 1 without gaps. What is removed leaves a gap that is
 * closed when gaps outnumber values, so that memory follows what is in the queue and not the span of its
 * numbers: one entry that a client never acknowledges may stay while millions pass it by.
 *
 * Two parallel arrays instead of an array of pairs: 16 bytes an entry, and nothing to collect.
 */
export class SequenceQueue<T extends number | object> {
  private sequences: number[] = []
  private values: (T | undefined)[] = []
  /** Index of the first value; the slots before it are gaps. */
  private head = 0
  private count = 0
  private nextSequence = 1

  /** Values in the queue. */
  get size(): number {
    return this.count
  }

  /** The number that the next `push` gives out. */
  get next(): number {
    return this.nextSequence
  }

  /** Number of the first value, or of the next one when there is none. */
  get first(): number {
    return this.count === 0 ? this.nextSequence : (this.sequences[this.head] ?? this.nextSequence)
  }

  /** Number of the last value; undefined when there is none. */
  get last(): number | undefined {
    for (let i = this.values.length - 1; i >= this.head; i--)
      if (this.values[i] !== undefined) return this.sequences[i]
    return undefined
  }

  /** Places that are taken in memory, gaps included. */
  get slots(): number {
    return this.values.length
  }

  push(value: T): number {
    const sequence = this.nextSequence++
    this.sequences.push(sequence)
    this.values.push(value)
    this.count++
    return sequence
  }

  /** Continues at `sequence`, which is not below `next`: how a queue is built from what was stored. */
  skipTo(sequence: number): void {
    this.nextSequence = sequence
  }

  get(sequence: number): T | undefined {
    return this.values[this.indexOf(sequence)]
  }

  /** Replaces a value; does nothing where there is none. */
  replace(sequence: number, value: T): void {
    const index = this.indexOf(sequence)
    if (index >= 0) this.values[index] = value
  }

  delete(sequence: number): T | undefined {
    const index = this.indexOf(sequence)
    const value = this.values[index]
    if (value === undefined) return undefined
    this.values[index] = undefined
    this.count--
    this.trim()
    return value
  }

  /** Values after `sequence` in order. The queue must not change while this runs. */
  *after(sequence: number): Generator<readonly [sequence: number, value: T]> {
    for (let i = this.lowerBound(sequence + 1); i < this.values.length; i++) {
      const value = this.values[i]
      const found = this.sequences[i]
      if (value !== undefined && found !== undefined) yield [found, value]
    }
  }

  private indexOf(sequence: number): number {
    // Without gaps inside, which is nearly always, the place follows from the number.
    const guess = this.head + sequence - (this.sequences[this.head] ?? 0)
    if (this.sequences[guess] === sequence) return guess
    const index = this.lowerBound(sequence)
    return this.sequences[index] === sequence ? index : -1
  }

  private lowerBound(sequence: number): number {
    let low = this.head
    let high = this.sequences.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.sequences[middle] ?? sequence) < sequence) low = middle + 1
      else high = middle
    }
    return low
  }

  private trim(): void {
    while (this.head < this.values.length && this.values[this.head] === undefined) this.head++
    const slots = this.values.length
    if (this.count === 0 && slots <= SMALL) {
      // The common case, a queue that a connected client keeps empty: nothing is allocated.
      this.values.length = 0
      this.sequences.length = 0
      this.head = 0
    } else if (slots > SMALL && this.count * 2 <= slots) {
      this.sequences = this.sequences.filter((_, i) => this.values[i] !== undefined)
      this.values = this.values.filter((value) => value !== undefined)
      this.head = 0
    }
  }
}

/** Slots up to which closing gaps is not worth a copy. */
const SMALL = 32
