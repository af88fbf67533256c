import { ManualClock } from '../contract/testing/manual-clock.js'
import type { ConnectionInfo } from '../contract/transport.js'
import { Telemetry } from './telemetry.js'

export interface Observed {
  readonly telemetry: Telemetry
  readonly clock: ManualClock
  /** Lines of the log so far. */
  readonly lines: Record<string, unknown>[]
  /** Value of a series as it is written in a scrape, e.g. `openclaw_clients`. */
  readonly value: (series: string) => Promise<number | undefined>
}

export function observed(level: 'debug' | 'info' = 'info'): Observed {
  const clock = new ManualClock(Date.UTC(2030, 0, 1))
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
