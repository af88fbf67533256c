import { z } from 'zod'
import type { WindowDeclaration } from '../../../broker/contract/connector.js'
import { duration } from '../../duration.js'
import { fieldPath } from '../../field-path.js'
import { aggregateNames, type AggregateName } from './aggregate.js'
import { TumblingWindow } from './tumbling-window.js'

const ALWAYS: readonly AggregateName[] = ['count', 'min', 'max', 'avg', 'last']

const schema = z.strictObject({
  type: z.literal('tumbling'),
  sizes: z
    .array(duration({ min: '100ms', max: '7d' }))
    .min(1)
    .max(8)
    .describe(
      'Lengths of the windows, 100ms to 7d, up to eight. Each reading counts in each of them; `{window}` is the length as written here.',
    ),
  by: z
    .array(z.string())
    .describe('Captures of the source that make a group; what differs in others is aggregated together.'),
  value: fieldPath.default('value').describe('Field with the number to aggregate.'),
  time: fieldPath
    .optional()
    .describe('Field with the time of the reading. Without it, readings count when they arrive.'),
  timeUnit: z
    .enum(['ms', 's', 'iso'])
    .default('ms')
    .describe('Milliseconds or seconds since the epoch, or an ISO 8601 text with zone.'),
  lateness: duration({ min: '0ms', max: '1d' })
    .prefault('2s')
    .describe('How long a window stays open for readings that come out of order, 0ms to 1d.'),
  idle: duration({ min: '0ms', max: '1d' })
    .prefault('2s')
    .describe('Silence of a group after which its windows close by our clock, 0ms to 1d.'),
  maxAhead: duration({ min: '0ms', max: '1d' })
    .prefault('10s')
    .describe('Readings farther in the future are refused (`time_ahead`), 0ms to 1d.'),
  maxBehind: duration({ min: '1s', max: '365d' })
    .prefault('1d')
    .describe('Readings farther in the past are refused (`time_behind`), 1s to 365d.'),
  maxGroups: z
    .int()
    .min(1)
    .max(1_000_000)
    .default(10_000)
    .describe(
      'Groups that are remembered, 1 to 1,000,000. Readings of further ones are refused (`too_many_groups`); a group that has been silent for ten of its longest windows, and ten minutes at least, makes room.',
    ),
  aggregates: z
    .array(z.enum(aggregateNames))
    .default([])
    .describe('Further figures in the result, besides `count`, `min`, `max`, `avg` and `last`.'),
})

export const tumbling: WindowDeclaration<typeof schema> = {
  name: 'tumbling',
  summary: 'Windows of fixed length by event time, one after the other, for each group.',
  schema,
  notes: [
    'A result is `{"start", "end", "count", "min", "max", "avg", "last"}`: start (inclusive) and end (exclusive) in milliseconds since the epoch, a multiple of the length; `last` is the reading with the latest time. `first`, `sum` and `stddev` (of the population) can be added. A result that was published because the pipeline stopped before the window was over has `"partial": true`.',
    "A window closes when a reading of its group is past its end by `lateness`, or, when none comes, after `idle` more by our own clock. What comes later is counted as `late` and dropped. Time runs for each group alone, and never ahead of our clock: a device with a wrong clock closes nobody else's windows, and none of its own group early.",
    'Inputs of QoS 1 are settled when the results that they went into have been published. When more wait than the source may hold unsettled, the oldest are settled early and counted: they are lost if the process dies before their window closes.',
  ],
  captures: ({ by }) => [...by, 'window'],
  check({ by, sizes }, captures) {
    const faults = by.flatMap((name, index) =>
      captures.includes(name)
        ? []
        : [{ path: ['by', index], allowed: `a capture of the source: ${captures.join(', ')}` }],
    )
    const texts = sizes.map(({ text }) => text)
    return [
      ...faults,
      ...texts.flatMap((text, index) =>
        texts.indexOf(text) === index ? [] : [{ path: ['sizes', index], allowed: 'each length once' }],
      ),
    ]
  },
  create: (settings) =>
    new TumblingWindow({
      ...settings,
      time: settings.time,
      aggregates: [...new Set([...ALWAYS, ...settings.aggregates])],
    }),
}
