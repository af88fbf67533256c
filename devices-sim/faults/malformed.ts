import { z } from 'zod'
import { defineFault, probability } from './fault.js'
import type { Sample } from './fault.js'

/** What real devices have been seen to send when their firmware goes wrong. */
const payloads: readonly ((sample: Sample) => Buffer)[] = [
  () => Buffer.alloc(0),
  () => Buffer.from('ERR'),
  () => Buffer.from([0xff, 0xfe, 0x00, 0x80]),
  ({ ts, value }) => Buffer.from(`{"ts":${ts},"value":${value}`),
  ({ ts }) => Buffer.from(`{"ts":${ts},"value":NaN}`),
  ({ ts }) => Buffer.from(`{"ts":${ts},"value":null}`),
  ({ ts }) => Buffer.from(`{"ts":${ts}}`),
  ({ ts }) => Buffer.from(`{"ts":${ts},"value":"--"}`),
  ({ ts, value }) => Buffer.from(`[${ts},${value}]`),
]

export const malformed = defineFault({
  summary: 'A payload that is not a reading: empty, cut off, no JSON, no number.',
  settings: z.strictObject({
    probability: probability.describe('That a payload is malformed, 0 to 1.'),
  }),
  create: (settings, { metric }) => {
    const kind = metric.derive('kind')
    return (sample) => {
      if (metric.uniform(sample.index) >= settings.probability) return sample
      const payload = payloads[kind.below(payloads.length, sample.index)]
      return payload === undefined ? sample : { ...sample, garbage: payload(sample) }
    }
  },
})
