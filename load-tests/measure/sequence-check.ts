/** Missing numbers that are remembered for a stream: with more, a late message is taken for a duplicate. */
const REMEMBERED_GAPS = 65_536

export interface SequenceTally {
  /** Distinct messages that came. */
  received: number
  /** Numbers that were left out and have not come later. */
  lost: number
  /** Came again. */
  duplicates: number
  /** Came behind a later one of the same stream. */
  reordered: number
}

/** Checks that each of several streams brings its numbers 0, 1, 2, ... once and in order. */
export class SequenceCheck {
  readonly tally: SequenceTally = { received: 0, lost: 0, duplicates: 0, reordered: 0 }
  private readonly expected: Float64Array
  private readonly missing = new Map<number, Set<number>>()

  constructor(streams: number) {
    this.expected = new Float64Array(streams)
  }

  /** Takes the number that came on a stream; whether it is the first time. */
  take(stream: number, sequence: number): boolean {
    if (this.expected[stream] !== sequence) return this.takeUnexpected(stream, sequence)
    this.expected[stream] = sequence + 1
    this.tally.received++
    return true
  }

  /** Says how many numbers each stream has had: those that have not come by now are lost. Other streams are ignored. */
  end(stream: number, sent: number): void {
    const next = this.expected[stream]
    if (next === undefined || next >= sent) return
    this.tally.lost += sent - next
    this.expected[stream] = sent
  }

  private takeUnexpected(stream: number, sequence: number): boolean {
    const next = this.expected[stream]
    if (next === undefined) return false
    const gaps = this.gapsOf(stream)
    if (sequence > next) {
      this.tally.lost += sequence - next
      this.tally.received++
      const first = Math.max(next, sequence - (REMEMBERED_GAPS - gaps.size))
      for (let gap = first; gap < sequence; gap++) gaps.add(gap)
      this.expected[stream] = sequence + 1
      return true
    }
    if (gaps.delete(sequence)) {
      this.tally.lost--
      this.tally.received++
      this.tally.reordered++
      return true
    }
    this.tally.duplicates++
    return false
  }

  private gapsOf(stream: number): Set<number> {
    let gaps = this.missing.get(stream)
    if (gaps === undefined) this.missing.set(stream, (gaps = new Set()))
    return gaps
  }
}
