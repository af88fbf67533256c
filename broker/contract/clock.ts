/**
 * Time as the parts see it. Production code never reads `Date.now` or calls `setTimeout` itself: a test that
 * waits an hour hands in a clock that jumps.
 */
export interface Clock {
  /** Wall clock, milliseconds since the epoch. */
  now(): number
  /**
   * Milliseconds since some moment before the process; goes on evenly when the wall clock is set. What measures how
   * long something takes, or has been silent, uses this one.
   */
  monotonic(): number
  /** Runs `task` once after `delayMs` (0 to 2^31-1 ms). The timer does not keep the process alive. */
  schedule(delayMs: number, task: () => void): Timer
}

export interface Timer {
  /** Idempotent. */
  cancel(): void
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  schedule(delayMs, task) {
    const handle = setTimeout(task, delayMs)
    handle.unref()
    return { cancel: () => clearTimeout(handle) }
  },
}
