import type { Clock, Timer } from '../contract/clock.js'
import type { ConnectionInfo } from '../contract/transport.js'
import { Telemetry } from './telemetry.js'

/** A clock that stands still until it is moved. */
export class ManualClock implements Clock {
  private time = Date.UTC(2030, 0, 1)
  private timers: { at: number; task: () => void }[] = []

  now(): number {
    return this.time
  }

  schedule(delayMs: number, task: () => void): Timer {
    const timer = { at: this.time + delayMs, task }
    this.timers.push(timer)
    return {
      cancel: () => {
        this.timers = this.timers.filter((other) => other !== timer)
      },
    }
  }

  advance(milliseconds: number): void {
    this.time += milliseconds
    const due = this.timers.filter(({ at }) => at <= this.time)
    this.timers = this.timers.filter(({ at }) => at > this.time)
    for (const { task } of due) task()
  }

  get pending(): number {
    return this.timers.length
  }
}

export interface Observed {
  readonly telemetry: Telemetry
  readonly clock: ManualClock
  /** Lines of the log so far. */
  readonly lines: Record<string, unknown>[]
  /** Value of a series as it is written in a scrape, e.g. `openclaw_clients`. */
  readonly value: (series: string) => Promise<number | undefined>
}

export function observed(level: 'debug' | 'info' = 'info'): Observed {
  const clock = new ManualClock()
  const lines: Record<string, unknown>[] = []
  const telemetry = new Telemetry({
    config: { log: { level, format: 'json' } },
    node: 'n1',
    listeners: ['web', 'mqtt'],
    authenticators: ['jwt'],
    clock,
    destination: { write: (line) => lines.push(JSON.parse(line) as Record<string, unknown>) },
  })
  const value = async (series: string): Promise<number | undefined> => {
    const { text } = await telemetry.scrape()
    const line = text.split('\n').find((candidate) => candidate.startsWith(`${series} `))
    return line === undefined ? undefined : Number(line.slice(series.length + 1))
  }
  return { telemetry, clock, lines, value }
}

export function connection(more: Partial<ConnectionInfo> = {}): ConnectionInfo {
  return {
    connectionId: 7,
    listener: 'web',
    transport: 'ws',
    remoteAddress: '192.0.2.1',
    remotePort: 50_000,
    loopback: false,
    bearerToken: 'hunter2',
    certificateName: undefined,
    ...more,
  }
}
