import type { ModelTime } from './processes.js'

export const HOUR = 3_600
export const DAY = 24 * HOUR
export const WEEK = 7 * DAY

export const weekdays = [
  'monday',
  'tuesday',
  'wednesday',
  'thursday',
  'friday',
  'saturday',
  'sunday',
] as const

/** Hour of the day with its fraction, 0 to 24. */
export function hourOf(time: ModelTime): number {
  return (time - dayOf(time) * DAY) / HOUR
}

/** Number of the day; 0 is the first Monday. */
export function dayOf(time: ModelTime): number {
  return Math.floor(time / DAY)
}

export function isWeekend(day: number): boolean {
  return ((day % 7) + 7) % 7 >= 5
}

/**
 * `<weekday> HH:MM` as model time, undefined when it is not one. `now` takes weekday and time of day (UTC) from
 * the wall clock.
 */
export function parseStart(text: string, nowMs: number): ModelTime | undefined {
  // The epoch began on a Thursday, three days after a Monday.
  if (text === 'now') return (nowMs / 1_000 + 3 * DAY) % WEEK
  const match = /^([a-z]+) ([01]\d|2[0-3]):([0-5]\d)$/.exec(text)
  const day = weekdays.findIndex((name) => name === match?.[1])
  if (match === null || day < 0) return undefined
  return day * DAY + Number(match[2]) * HOUR + Number(match[3]) * 60
}
