import { z } from 'zod'
import { defineFault, probability } from './fault.js'

export const spike = defineFault({
  summary: 'A single reading lies far off.',
  settings: z.strictObject({
    probability: probability.describe('That a reading is a spike, 0 to 1.'),
    size: z
      .number()
      .positive()
      .max(1_000_000)
      .default(3)
      .describe(
        'How far off, as a multiple of the reading (at least of 1), above 0 to 1,000,000; up or down.',
      ),
  }),
  create: (settings, { metric }) => {
    const direction = metric.derive('direction')
    return (sample) => {
      if (metric.uniform(sample.index) >= settings.probability) return sample
      const jump = settings.size * Math.max(1, Math.abs(sample.value))
      return { ...sample, value: sample.value + (direction.uniform(sample.index) < 0.5 ? jump : -jump) }
    }
  },
})
