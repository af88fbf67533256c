export interface DecisionSlotLimits {
  /** Decisions under way at a time. */
  readonly concurrent: number
  /** Decisions that wait for their turn; further ones are turned away. */
  readonly waiting: number
}

/**
 * The work that strangers can cause is bounded. Signatures are checked on the four threads of libuv, so that 64 keep
 * them busy while some wait for a key server; a reconnect of 5,000 clients fits into the queue of 10,000. A waiting
 * decision holds its credentials, at most 16 KiB each.
 */
export const DEFAULT_SLOT_LIMITS: DecisionSlotLimits = { concurrent: 64, waiting: 10_000 }

/** First come, first served. */
export class DecisionSlots {
  private running = 0
  private readonly waiting: ((mayRun: boolean) => void)[] = []
  private closed = false

  constructor(private readonly limits: DecisionSlotLimits = DEFAULT_SLOT_LIMITS) {}

  /** Resolves to what `task` resolves to, or to `turnedAway()` when the queue is full or closed. */
  async run<T>(task: () => Promise<T>, turnedAway: () => T): Promise<T> {
    if (!(await this.take())) return turnedAway()
    try {
      return await task()
    } finally {
      this.release()
    }
  }

  /** Turns away everybody who waits, and whoever comes. Idempotent. */
  close(): void {
    this.closed = true
    for (const proceed of this.waiting.splice(0)) proceed(false)
  }

  open(): void {
    this.closed = false
  }

  private take(): boolean | Promise<boolean> {
    if (this.closed) return false
    if (this.running < this.limits.concurrent) {
      this.running++
      return true
    }
    if (this.waiting.length >= this.limits.waiting) return false
    return new Promise((resolve) => this.waiting.push(resolve))
  }

  /** A slot goes straight to the next in line: nobody who comes in between can take it. */
  private release(): void {
    const next = this.waiting.shift()
    if (next === undefined) this.running--
    else next(true)
  }
}
