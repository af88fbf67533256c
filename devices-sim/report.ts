import type { FleetStats } from './stats.js'

/** What a run has come to; printed as the last line with `--json`. */
export interface SimSummary extends FleetStats {
  readonly profile: string
  readonly seed: number
  readonly seconds: number
  /** Messages that were refused or given up. */
  readonly errors: number
}

/** The one line that shows a running fleet. `perSecond`: messages acknowledged in the last second. */
export function statusLine(stats: FleetStats, perSecond: number, problem: string | undefined): string {
  const parts = [
    `${count(stats.devicesConnected)} of ${count(stats.devices)} devices connected`,
    `${count(stats.published)} published (${count(Math.round(perSecond))}/s)`,
  ]
  if (stats.publishErrors > 0) parts.push(`${count(stats.publishErrors)} errors`)
  if (stats.reconnects > 0) parts.push(`${count(stats.reconnects)} reconnects`)
  if (stats.missed > 0) parts.push(`${count(stats.missed)} missed`)
  if (stats.devicesConnected < stats.devices && problem !== undefined) parts.push(problem)
  return parts.join(' | ')
}

export function summaryText(summary: SimSummary): string {
  const lines = [
    `${count(summary.devicesConnected)} of ${count(summary.devices)} devices connected; ` +
      `${count(summary.published)} messages (${count(summary.bytes)} bytes) published in ${summary.seconds.toFixed(1)} s; ` +
      `${count(summary.errors)} errors, ${count(summary.reconnects)} reconnects, ${count(summary.missed)} readings missed`,
  ]
  const faults = Object.entries(summary.faults).filter(([, times]) => times > 0)
  if (faults.length > 0) {
    lines.push(`faults: ${faults.map(([name, times]) => `${name} ${count(times)}`).join(', ')}`)
  }
  if (summary.takenOver > 0) {
    lines.push(
      `${count(summary.takenOver)} connections were taken over by a client of the same name: give each fleet its own --prefix`,
    )
  }
  return lines.join('\n')
}

function count(value: number): string {
  return value.toLocaleString('en-US')
}
