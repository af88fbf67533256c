import { z } from 'zod'
import type { Stream } from '../random.js'
import { HOUR, hourOf } from './calendar.js'
import { ornsteinUhlenbeck } from './processes.js'
import type { ModelTime, Process } from './processes.js'

export const weatherSchema = z.strictObject({
  meanCelsius: z.number().min(-60).max(60).default(12).describe('Mean outdoor temperature, -60 to 60 °C.'),
  dailySwing: z
    .number()
    .min(0)
    .max(40)
    .default(9)
    .describe('Difference between afternoon and early morning, 0 to 40 °C.'),
  drift: z
    .number()
    .min(0)
    .max(20)
    .default(3)
    .describe('Deviation of the drift that fronts bring over hours to days, 0 to 20 °C.'),
  dewPointCelsius: z
    .number()
    .min(-60)
    .max(35)
    .default(8)
    .describe('Mean dew point, -60 to 35 °C: how much water the air holds.'),
})
export type WeatherSettings = z.output<typeof weatherSchema>

/** The weather of a site: the same for all its rooms. */
export interface Weather {
  readonly settings: WeatherSettings
  /** °C. */
  readonly outdoor: Process
  /** °C; never above the outdoor temperature. */
  readonly dewPoint: Process
}

export function createWeather(settings: WeatherSettings, stream: Stream): Weather {
  const front = ornsteinUhlenbeck(stream.derive('front'), 30 * HOUR)
  const clouds = ornsteinUhlenbeck(stream.derive('clouds'), 1.5 * HOUR)
  const moisture = ornsteinUhlenbeck(stream.derive('moisture'), 36 * HOUR)

  const outdoor: Process = (time) =>
    settings.meanCelsius +
    (settings.dailySwing / 2) * dailyCurve(time) +
    settings.drift * front(time) +
    0.06 * settings.dailySwing * clouds(time)

  return {
    settings,
    outdoor,
    dewPoint: (time) => Math.min(settings.dewPointCelsius + 2 * moisture(time), outdoor(time) - 0.5),
  }
}

/** -1 at 05:00, 1 at 15:00: the air warms in ten hours and cools in fourteen. */
export function dailyCurve(time: ModelTime): number {
  const sinceDawn = (hourOf(time) + 24 - 5) % 24
  return sinceDawn < 10 ? -Math.cos((Math.PI * sinceDawn) / 10) : Math.cos((Math.PI * (sinceDawn - 10)) / 14)
}
