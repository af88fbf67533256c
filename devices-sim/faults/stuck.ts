import { z } from 'zod'
import { defineFault, episodeAt, episodeSamples, probability } from './fault.js'

export const stuck = defineFault({
  summary: 'A sensor repeats one value for a while.',
  settings: z.strictObject({
    probability: probability.describe('That a sensor sticks at a sample, 0 to 1.'),
    samples: episodeSamples.default(20).describe('Length in samples, 1 to 100.'),
  }),
  create:
    (settings, { metric, reading }) =>
    (sample) => {
      const since = episodeAt(metric, sample.index, settings.probability, settings.samples)
      return since === undefined ? sample : { ...sample, value: reading(since) }
    },
})
