/** Delays between attempts, milliseconds. */
export interface BackoffSettings {
  /** Upper bound of the first delay. */
  readonly firstMs: number
  /** Upper bound of every delay. */
  readonly longestMs: number
}

/**
 * Doubling delays, each drawn from the upper half of its range: many pipelines that lost the same system do not
 * come back in step, and none comes back at once.
 */
export class Backoff {
  private failures = 0

  constructor(
    private readonly settings: BackoffSettings,
    private readonly random: () => number,
  ) {}

  /** Failures since the last `reset`. */
  get attempts(): number {
    return this.failures
  }

  next(): number {
    const { firstMs, longestMs } = this.settings
    const ceiling = Math.min(longestMs, firstMs * 2 ** Math.min(this.failures, 30))
    this.failures++
    return Math.round(ceiling * (0.5 + this.random() / 2))
  }

  reset(): void {
    this.failures = 0
  }
}
