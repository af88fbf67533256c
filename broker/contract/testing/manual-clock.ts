import type { Clock, Timer } from '../clock.js'

/** A clock that a test moves: timers run at their times, in the order of their times. */
export class ManualClock implements Clock {
  private elapsed = 0
  private readonly timers = new Set<{ readonly at: number; readonly task: () => void }>()

  /** `wall`: milliseconds since the epoch at the start. */
  constructor(private wall = Date.UTC(2026, 0, 1)) {}

  now(): number {
    return this.wall + this.elapsed
  }

  monotonic(): number {
    return this.elapsed
  }

  schedule(delayMs: number, task: () => void): Timer {
    const timer = { at: this.elapsed + delayMs, task }
    this.timers.add(timer)
    return { cancel: () => void this.timers.delete(timer) }
  }

  /** Time passes, and what falls due runs. */
  advance(ms: number): void {
    const end = this.elapsed + ms
    while (this.runNext(end));
    this.elapsed = end
  }

  /** As `advance`, and promises get their turn after each timer. */
  async pass(ms: number): Promise<void> {
    const end = this.elapsed + ms
    await turn()
    while (this.runNext(end)) await turn()
    this.elapsed = end
  }

  /** The process was asleep: time has passed, no timer has run. */
  sleep(ms: number): void {
    this.elapsed += ms
  }

  /** Somebody sets the wall clock; no time passes. */
  setWallClock(byMs: number): void {
    this.wall += byMs
  }

  get pendingTimers(): number {
    return this.timers.size
  }

  private runNext(until: number): boolean {
    let next: { readonly at: number; readonly task: () => void } | undefined
    for (const timer of this.timers)
      if (timer.at <= until && (next === undefined || timer.at < next.at)) next = timer
    if (next === undefined) return false
    this.timers.delete(next)
    this.elapsed = Math.max(this.elapsed, next.at)
    next.task()
    return true
  }
}

/** Lets everything that is ready run. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
