import { monotonicMs } from '../measure/monotonic.js'

/** What a schedule needs of a publisher. */
export interface Scheduled {
  /** Messages sent. */
  readonly sent: number
  /** Among the publishers of the schedule. */
  readonly place: number
  hasRoom(): boolean
  send(micros: number): void
}

export interface ScheduleEvents {
  /** A message has left so many microseconds later than it ought to. */
  late(micros: number): void
  flush(): void
}

/** Timers of Node come up to a millisecond late: a message that is due sooner is waited for in a busy loop. */
const BUSY_BELOW_MS = 2

/**
 * Sends at a rate that does not depend on the broker: message n of all is due at start + n / rate, and carries that
 * time even when it leaves later, because the publisher had to wait. So a stall of the broker shows in every message that
 * should have been sent during it, not in the one that was (coordinated omission).
 */
export class Schedule {
  private startMs = 0
  private due = 0
  private timer: NodeJS.Timeout | NodeJS.Immediate | undefined
  private running = false

  constructor(
    private readonly messagesPerSecond: number,
    /** Take turns; may be filled until `start`. */
    private readonly publishers: readonly Scheduled[],
    private readonly events: ScheduleEvents,
    /** Milliseconds. */
    private readonly now: () => number = monotonicMs,
  ) {}

  start(): void {
    if (this.publishers.length === 0) return
    this.startMs = this.now()
    this.running = true
    this.advance()
  }

  stop(): void {
    this.running = false
    clearTimeout(this.timer as NodeJS.Timeout)
    clearImmediate(this.timer as NodeJS.Immediate)
  }

  /** Sends what a publisher owes, as far as it has room. */
  catchUp(publisher: Scheduled): void {
    while (this.ordinalOf(publisher) < this.due && publisher.hasRoom()) this.send(publisher)
  }

  private advance(): void {
    if (!this.running) return
    const now = this.now()
    const count = this.publishers.length
    while (this.timeOf(this.due) <= now) {
      const publisher = this.publishers[this.due++ % count]
      if (publisher !== undefined) this.catchUp(publisher)
    }
    this.events.flush()
    const wait = this.timeOf(this.due) - this.now()
    this.timer =
      wait > BUSY_BELOW_MS
        ? setTimeout(() => this.advance(), wait - BUSY_BELOW_MS)
        : setImmediate(() => this.advance())
  }

  private send(publisher: Scheduled): void {
    const dueMs = this.timeOf(this.ordinalOf(publisher))
    this.events.late(Math.max(0, this.now() - dueMs) * 1_000)
    publisher.send(Math.floor(dueMs * 1_000) >>> 0)
  }

  /** Which of all messages the publisher's next one is. */
  private ordinalOf({ sent, place }: Scheduled): number {
    return sent * this.publishers.length + place
  }

  private timeOf(message: number): number {
    return this.startMs + (message * 1_000) / this.messagesPerSecond
  }
}
