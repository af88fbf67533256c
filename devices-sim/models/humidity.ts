import { z } from 'zod'
import { clamp } from '../surroundings/processes.js'
import { defineModel, imperfect } from './model.js'

export const humidity = defineModel({
  summary:
    'Relative humidity in %: from the water in the air and its temperature, so that warm air reads drier.',
  settings: z.strictObject({
    model: z.literal('humidity'),
    offset: z.number().min(0).max(20).default(1.5).describe('Deviation from sensor to sensor, 0 to 20 %.'),
    noise: z.number().min(0).max(20).default(0.2).describe('Deviation of a single reading, 0 to 20 %.'),
    resolution: z.number().min(0.01).max(10).default(0.5).describe('Step of the sensor, 0.01 to 10 %.'),
  }),
  create(settings, { room, stream }) {
    const read = imperfect(settings, stream)
    return (time, index) => clamp(read(relativeHumidity(room.dewPoint(time), room.air(time)), index), 0, 100)
  },
})

/** Magnus formula over water (coefficients of Sonntag, 1990); °C in, % out. */
export function relativeHumidity(dewPoint: number, air: number): number {
  return 100 * Math.exp(magnus(dewPoint) - magnus(air))
}

function magnus(celsius: number): number {
  return (17.62 * celsius) / (243.12 + celsius)
}
