import { z } from 'zod'
import type { Stream } from '../random.js'
import { HOUR } from './calendar.js'
import { createOccupancy, occupancyPatterns } from './occupancy.js'
import type { Occupancy } from './occupancy.js'
import { dutyCycle, ornsteinUhlenbeck } from './processes.js'
import type { Process } from './processes.js'
import type { Weather } from './weather.js'

export const climateSchema = z.strictObject({
  occupancy: z
    .enum(occupancyPatterns)
    .default('office')
    .describe(
      'When people are there: `office` on workdays, `home` mornings and evenings, `shifts` around the clock, `empty` never.',
    ),
  dayCelsius: z
    .number()
    .min(-40)
    .max(60)
    .default(21.5)
    .describe('Temperature kept while in use, -40 to 60 °C.'),
  nightCelsius: z
    .number()
    .min(-40)
    .max(60)
    .default(18)
    .describe('Temperature kept while not in use, -40 to 60 °C.'),
})
export type ClimateSettings = z.output<typeof climateSchema>

/** What all sensors of a room share: two thermometers side by side follow the same air. */
export interface Room {
  readonly occupancy: Occupancy
  /** °C. */
  readonly air: Process
  /** °C; below the air temperature. */
  readonly dewPoint: Process
}

/** Heating starts before people come, and a room follows its heating slowly. */
const HEATING_LEAD_SECONDS = 2 * HOUR
const THERMAL_LAG_SECONDS = 2 * HOUR
const LAG_STEPS = 12

export function createRoom(settings: ClimateSettings, weather: Weather, stream: Stream): Room {
  const occupancy = createOccupancy(settings.occupancy, stream.derive('occupancy'))
  const draughts = ornsteinUhlenbeck(stream.derive('draughts'), 2 * HOUR)
  const thermostat = dutyCycle(stream.derive('thermostat'), 0.45 * HOUR, () => 0.45)
  const warmth = lagged(occupancy.expected)

  const air: Process = (time) => {
    const { on, progress } = thermostat(time)
    // Up while the heating is on, down while it is off: a triangle between the switching points.
    const ripple = 0.18 * (on ? 2 * progress - 1 : 1 - 2 * progress)
    return (
      settings.nightCelsius +
      (settings.dayCelsius - settings.nightCelsius) * warmth(time) +
      0.05 * (weather.outdoor(time) - weather.settings.meanCelsius) +
      0.5 * occupancy.actual(time) +
      0.25 * draughts(time) +
      ripple
    )
  }
  return {
    occupancy,
    air,
    // People add water; cold surfaces take it out before the air is saturated.
    dewPoint: (time) => Math.min(weather.dewPoint(time) + 1.5 * occupancy.actual(time), air(time) - 1.5),
  }
}

/** 0 while unused, 1 while in use, with the inertia of walls and furniture. */
function lagged(expected: Process): Process {
  const step = (4 * THERMAL_LAG_SECONDS) / LAG_STEPS
  const weights = Array.from({ length: LAG_STEPS }, (_, n) => Math.exp((-n * step) / THERMAL_LAG_SECONDS))
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  return (time) => {
    let sum = 0
    for (const [n, weight] of weights.entries()) {
      const then = time - n * step
      const wanted = Math.max(expected(then), expected(then + HEATING_LEAD_SECONDS))
      sum += weight * Math.min(1, 2.5 * wanted)
    }
    return sum / total
  }
}
