import { z } from 'zod'
import { defineFault, episodeAt, episodeSamples, probability } from './fault.js'

export const dropout = defineFault({
  summary: 'The device sends nothing for a while, although it is connected.',
  settings: z.strictObject({
    probability: probability.describe('That a sample begins a dropout, 0 to 1.'),
    samples: episodeSamples.default(5).describe('Length in samples, 1 to 100.'),
  }),
  create:
    (settings, { device }) =>
    (sample) =>
      episodeAt(device, sample.index, settings.probability, settings.samples) === undefined
        ? sample
        : undefined,
})
