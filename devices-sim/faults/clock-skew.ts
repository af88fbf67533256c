import { z } from 'zod'
import { defineFault, probability } from './fault.js'

export const clockSkew = defineFault({
  summary: 'The clock of some devices is wrong by a fixed amount.',
  settings: z.strictObject({
    devices: probability.describe('Share of devices with a wrong clock, 0 to 1.'),
    maxSeconds: z
      .number()
      .positive()
      .max(315_360_000)
      .default(120)
      .describe('Largest error, ahead or behind, above 0 to 315,360,000 s (ten years).'),
  }),
  create: (settings, { device }) => {
    if (device.uniform(0) >= settings.devices) return (sample) => sample
    const skew = Math.round(settings.maxSeconds * 1_000 * (2 * device.uniform(1) - 1))
    return (sample) => ({ ...sample, ts: sample.ts + skew })
  },
})
