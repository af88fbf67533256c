import type { Clock } from '../contract/clock.js'
import type { AccessEvents } from '../contract/events.js'
import type { Credentials } from '../contract/principal.js'

/** Time that only moves when a test says so. */
export class ManualClock implements Clock {
  private readonly timers = new Set<{ at: number; task: () => void }>()

  constructor(private time = Date.UTC(2026, 0, 1)) {}

  now(): number {
    return this.time
  }

  schedule(delayMs: number, task: () => void) {
    const timer = { at: this.time + delayMs, task }
    this.timers.add(timer)
    return { cancel: () => void this.timers.delete(timer) }
  }

  /** Runs what falls due, in order. */
  advance(ms: number): void {
    const end = this.time + ms
    for (;;) {
      const due = [...this.timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0]
      if (due === undefined) break
      this.timers.delete(due)
      this.time = due.at
      due.task()
    }
    this.time = end
  }

  get pending(): number {
    return this.timers.size
  }
}

export function credentials(fields: Partial<Credentials> = {}): Credentials {
  return {
    clientId: 'c1',
    username: undefined,
    password: undefined,
    bearerToken: undefined,
    certificateName: undefined,
    remoteAddress: '192.0.2.1',
    loopback: false,
    listener: 'mqtt',
    ...fields,
  }
}

/** Events as lines. */
export class RecordedEvents implements AccessEvents {
  readonly lines: string[] = []

  authenticatorFailed(name: string, error: Error): void {
    this.lines.push(`failed ${name}: ${error.message}`)
  }

  keysLoaded(name: string, count: number): void {
    this.lines.push(`keys ${name}: ${count}`)
  }

  keysUnavailable(name: string, error: Error, keysHeld: number, retryInMs: number): void {
    this.lines.push(`unavailable ${name}: ${error.message}; ${keysHeld} held, again in ${retryInMs} ms`)
  }
}

/** Lets everything run that is due without time passing. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
