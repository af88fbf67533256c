import type { Stream } from '../random.js'
import { DAY, HOUR, dayOf, isWeekend } from './calendar.js'
import { clamp, ornsteinUhlenbeck } from './processes.js'
import type { ModelTime, Process } from './processes.js'

export const occupancyPatterns = ['office', 'home', 'shifts', 'empty'] as const
export type OccupancyPattern = (typeof occupancyPatterns)[number]

/** Hours of the day between which `level` more people are there; may end after midnight. */
type Presence = readonly [fromHour: number, toHour: number, level: number]

const patterns: Record<OccupancyPattern, { workday: readonly Presence[]; weekend: readonly Presence[] }> = {
  office: {
    workday: [
      [8.4, 17.6, 0.9],
      [12.2, 13.1, -0.45],
    ],
    weekend: [],
  },
  home: {
    workday: [
      [6.3, 8.2, 0.7],
      [17, 23, 0.9],
      [23, 30.3, 0.3],
    ],
    weekend: [
      [8, 23.5, 0.75],
      [23.5, 32, 0.3],
    ],
  },
  shifts: {
    workday: [
      [6, 14, 0.85],
      [14, 22, 0.8],
      [22, 30, 0.45],
    ],
    weekend: [[6, 22, 0.25]],
  },
  empty: { workday: [], weekend: [] },
}

/** How long people take to arrive and leave. */
const EDGE_HOURS = 0.2

/** Presence in a room, 0 (nobody) to 1 (full). */
export interface Occupancy {
  /** What the building's controls expect: no flutter. */
  readonly expected: Process
  readonly actual: Process
}

export function createOccupancy(pattern: OccupancyPattern, stream: Stream): Occupancy {
  const lateness = stream.derive('lateness')
  const attendance = stream.derive('attendance')
  const comings = ornsteinUhlenbeck(stream.derive('comings'), 0.3 * HOUR)

  function ofDay(day: number, time: ModelTime): number {
    const hours = (time - day * DAY) / HOUR - 0.25 * lateness.gaussian(day)
    let level = 0
    for (const [from, to, share] of patterns[pattern][isWeekend(day) ? 'weekend' : 'workday']) {
      level += share * (edge(hours - from) - edge(hours - to))
    }
    return level * (0.8 + 0.2 * attendance.uniform(day))
  }

  const expected: Process = (time) => {
    const day = dayOf(time)
    return clamp(ofDay(day - 1, time) + ofDay(day, time), 0, 1)
  }
  return {
    expected,
    // People move about where there are people; an empty room stays still.
    actual: (time) => {
      const level = expected(time)
      return clamp(level * (1 + 0.12 * comings(time)), 0, 1)
    },
  }
}

function edge(hours: number): number {
  return 1 / (1 + Math.exp(-hours / EDGE_HOURS))
}
