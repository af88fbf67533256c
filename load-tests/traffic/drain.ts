import { monotonicMs } from '../measure/monotonic.js'
import type { Receiver, ReceiverEvents } from './receiver.js'

export interface Drained {
  /** Until the first and the last message, from `begin`. */
  readonly firstMs: number
  readonly lastMs: number
  readonly received: number
  readonly lost: number
  readonly duplicates: number
}

/** Nothing has come for so long: what has not come yet will not. */
const QUIET_MS = 2_000

/** Waits for a known number of stored messages. */
export class Drain implements ReceiverEvents {
  private begunMs = 0
  private firstMs = 0
  private lastMs = 0
  private received = 0
  private watch: NodeJS.Timeout | undefined
  private end: () => void = () => {}

  constructor(private readonly expected: number) {}

  begin(): void {
    this.begunMs = monotonicMs()
  }

  /** Resolves when all have come, or none comes any more. */
  async over(): Promise<void> {
    if (this.received >= this.expected) return
    await new Promise<void>((resolve) => {
      this.end = resolve
      let seen = -1
      this.watch = setInterval(() => {
        if (this.received === seen) resolve()
        seen = this.received
      }, QUIET_MS)
    })
    clearInterval(this.watch)
  }

  delivered(_publisher: number, _sequence: number, _sentMicros: number, first: boolean): void {
    if (!first) return
    this.lastMs = monotonicMs()
    if (this.received++ === 0) this.firstMs = this.lastMs
    if (this.received === this.expected) this.end()
  }

  lost(): void {
    // What the connection would have brought shows as lost.
  }

  result(receivers: readonly Receiver[]): Drained {
    return {
      firstMs: Math.max(0, this.firstMs - this.begunMs),
      lastMs: Math.max(0, this.lastMs - this.begunMs),
      received: this.received,
      lost: this.expected - this.received,
      duplicates: receivers.reduce((sum, { check }) => sum + check.tally.duplicates, 0),
    }
  }
}
