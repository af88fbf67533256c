import type { Clock, Timer } from '../../broker/contract/clock.js'

interface Pending {
  readonly at: number
  readonly task: () => void
  readonly handle: NodeJS.Timeout
}

/**
 * The system's clock, with a part of the future that a test has skipped: an hour of session expiry takes no time,
 * and what nobody skips takes as long as it does in production.
 */
export class ShiftedClock implements Clock {
  private shift = 0
  private readonly pending = new Set<Pending>()

  now(): number {
    return Date.now() + this.shift
  }

  monotonic(): number {
    return performance.now() + this.shift
  }

  schedule(delayMs: number, task: () => void): Timer {
    const timer: Pending = {
      at: this.now() + delayMs,
      task,
      handle: setTimeout(() => this.run(timer), delayMs),
    }
    timer.handle.unref()
    this.pending.add(timer)
    return {
      cancel: () => {
        clearTimeout(timer.handle)
        this.pending.delete(timer)
      },
    }
  }

  /** Timers that run. */
  get pendingTimers(): number {
    return this.pending.size
  }

  /** Runs everything that is due within the time, in the order in which it would have been. */
  skip(seconds: number): void {
    const end = this.now() + seconds * 1000
    for (;;) {
      let next: Pending | undefined
      for (const timer of this.pending)
        if (timer.at <= end && (next === undefined || timer.at < next.at)) next = timer
      if (next === undefined) break
      this.shift += Math.max(0, next.at - this.now())
      clearTimeout(next.handle)
      this.run(next)
    }
    this.shift += Math.max(0, end - this.now())
  }

  /** Time passes, but no timer runs: the process was asleep. */
  sleep(seconds: number): void {
    this.shift += seconds * 1000
  }

  private run(timer: Pending): void {
    if (this.pending.delete(timer)) timer.task()
  }
}
