/** Values below this are counted exactly; above, each power of two is split into half as many buckets. */
const SUB_BUCKETS = 256
const SUB_BUCKET_BITS = 8
const HALF = SUB_BUCKETS / 2
/** Values fit into 32 bits; each further bit above the first eight takes half a set of buckets. */
const BUCKETS = SUB_BUCKETS + (32 - SUB_BUCKET_BITS) * HALF

/** What a histogram becomes between processes. */
export interface HistogramCounts {
  readonly counts: Float64Array
  readonly largest: number
}

/**
 * High dynamic range histogram of whole numbers from 0 to 2^32 - 1 (here: microseconds), 26 KB, constant cost per
 * value. What it returns is at most 1/128 above the true value (0.8 %), never below it.
 */
export class Histogram {
  private readonly counts = new Float64Array(BUCKETS)
  private total = 0
  private largest = 0

  static from(states: readonly HistogramCounts[]): Histogram {
    const merged = new Histogram()
    for (const state of states) merged.add(state)
    return merged
  }

  get count(): number {
    return this.total
  }

  get max(): number {
    return this.largest
  }

  /** Negative values count as 0, values beyond the range as its end. */
  record(value: number): void {
    const kept = value < 0 ? 0 : value > 0xffff_ffff ? 0xffff_ffff : Math.floor(value)
    if (kept > this.largest) this.largest = kept
    const index = bucketOf(kept)
    this.counts[index] = (this.counts[index] ?? 0) + 1
    this.total++
  }

  /** The value that `share` (0 to 1) of all values do not exceed; 0 of an empty histogram. */
  quantile(share: number): number {
    const rank = Math.max(1, Math.ceil(share * this.total))
    let seen = 0
    for (let index = 0; index < BUCKETS; index++) {
      seen += this.counts[index] ?? 0
      if (seen >= rank) return Math.min(highestOf(index), this.largest)
    }
    return this.largest
  }

  add(state: HistogramCounts): void {
    for (let index = 0; index < BUCKETS; index++) {
      const more = state.counts[index] ?? 0
      this.counts[index] = (this.counts[index] ?? 0) + more
      this.total += more
    }
    this.largest = Math.max(this.largest, state.largest)
  }

  state(): HistogramCounts {
    return { counts: this.counts.slice(), largest: this.largest }
  }

  reset(): void {
    this.counts.fill(0)
    this.total = 0
    this.largest = 0
  }
}

function bucketOf(value: number): number {
  if (value < SUB_BUCKETS) return value
  const shift = 32 - SUB_BUCKET_BITS - Math.clz32(value)
  return shift * HALF + (value >>> shift)
}

/** The highest value that falls into a bucket. */
function highestOf(index: number): number {
  if (index < SUB_BUCKETS) return index
  const shift = Math.floor(index / HALF) - 1
  return (index - shift * HALF + 1) * 2 ** shift - 1
}
