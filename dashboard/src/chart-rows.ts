import type { FeedPoint } from './feed.js'

/** One place on the time axis; without a point the line is interrupted. */
export interface ChartRow {
  /** Milliseconds since the epoch. */
  readonly time: number
  readonly point: FeedPoint | undefined
}

/** Windows without readings are left out by bridges: so many in a row are a gap, not a quiet moment. */
const GAP_WINDOWS = 3

/** Points as they are drawn: where some are missing, as after an outage, the line must not pretend to know. */
export function chartRows(points: readonly FeedPoint[], windowMs: number): readonly ChartRow[] {
  const rows: ChartRow[] = []
  for (const point of points) {
    const before = rows.at(-1)
    if (before !== undefined && point.end - before.time > windowMs * GAP_WINDOWS) {
      rows.push({ time: before.time + windowMs, point: undefined })
    }
    rows.push({ time: point.end, point })
  }
  return rows
}
