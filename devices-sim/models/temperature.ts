import { z } from 'zod'
import { ornsteinUhlenbeck } from '../surroundings/processes.js'
import { HOUR } from '../surroundings/calendar.js'
import { defineModel, imperfect } from './model.js'

export const temperature = defineModel({
  summary: 'Air temperature in °C: set-back at night, weather through the walls, heating cycles, people.',
  settings: z.strictObject({
    model: z.literal('temperature'),
    offset: z
      .number()
      .min(0)
      .max(10)
      .default(0.3)
      .describe('Deviation from sensor to sensor (place in the room, calibration), 0 to 10 °C.'),
    noise: z.number().min(0).max(10).default(0.05).describe('Deviation of a single reading, 0 to 10 °C.'),
    resolution: z.number().min(0.001).max(10).default(0.1).describe('Step of the sensor, 0.001 to 10 °C.'),
  }),
  create(settings, { room, stream }) {
    const draught = ornsteinUhlenbeck(stream.derive('draught'), 0.5 * HOUR)
    const read = imperfect(settings, stream)
    return (time, index) => read(room.air(time) + 0.08 * draught(time), index)
  },
})
