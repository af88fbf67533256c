import { z } from 'zod'
import type { Fault } from '../../config/problem.js'
import type { Check } from '../../config/validate.js'
import { faultsSchema } from '../faults/registry.js'
import { metricSchema } from '../models/registry.js'
import { parseStart } from '../surroundings/calendar.js'
import { climateSchema } from '../surroundings/room.js'
import { weatherSchema } from '../surroundings/weather.js'

/** A level of a topic: no slash, no wildcard, nothing that a shell or a URL would change. */
const level = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, '1 to 64 letters, digits, `_` and `-`')

const share = z.number().positive().max(1_000).default(1)

const room = z.strictObject({
  name: level.describe('Name in topics; unique in its site.'),
  share: share.describe('How many devices it has in proportion to the other rooms, above 0 to 1,000.'),
  climate: climateSchema.prefault({}).describe('When the room is used and how warm it is kept.'),
})

const site = z.strictObject({
  name: level.describe('Name in topics; unique.'),
  weather: weatherSchema.prefault({}).describe('The weather outside, shared by all rooms of the site.'),
  rooms: z.array(room).min(1).max(1_000).describe('At least one room.'),
})

const kind = z.strictObject({
  name: level.describe('Devices of this kind are called `<name>-0001` and so on; unique.'),
  share: share.describe(
    'How many of the devices are of this kind in proportion to the others, above 0 to 1,000.',
  ),
  metrics: z
    .record(level, metricSchema)
    .refine((metrics) => Object.keys(metrics).length > 0, 'at least one metric')
    .describe('What a device measures: the last level of the topic, and the model behind it.'),
})

export const profileSchema = z.strictObject({
  description: z.string().max(500).default('').describe('For the reader of the file.'),
  start: z
    .string()
    .refine(
      (text) => parseStart(text, 0) !== undefined,
      '`now` or a weekday and a time, such as `monday 06:00`',
    )
    .default('monday 06:00')
    .describe('Model time at the beginning: `<weekday> HH:MM`, or `now` for the wall clock (UTC).'),
  timeScale: z
    .number()
    .positive()
    .max(100_000)
    .default(1)
    .describe(
      'Model seconds that pass in one real second, above 0 to 100,000; 480 shows a day in three minutes. `ts` in the payload stays real time.',
    ),
  intervalSeconds: z
    .number()
    .min(0.01)
    .max(86_400)
    .default(5)
    .describe('Real time between two samples of a device, 0.01 to 86,400 s.'),
  jitter: z
    .number()
    .min(0)
    .max(0.9)
    .default(0.1)
    .describe('How far a sample may be late, as a share of the interval, 0 to 0.9.'),
  qos: z
    .union([z.literal(0), z.literal(1), z.literal(2)])
    .default(1)
    .describe('QoS of the readings: 0, 1 or 2.'),
  statusTopic: z
    .boolean()
    .default(true)
    .describe(
      'Whether devices keep `devices/<device>/status` (retained `online` or `offline`, the latter also as their will).',
    ),
  connection: z
    .strictObject({
      rate: z
        .number()
        .min(0.1)
        .max(10_000)
        .default(100)
        .describe('Connections opened in a second by the whole fleet, 0.1 to 10,000.'),
      keepAliveSeconds: z.int().min(5).max(65_535).default(60).describe('MQTT keep-alive, 5 to 65,535 s.'),
      backoffMinSeconds: z
        .number()
        .min(0.01)
        .max(60)
        .default(1)
        .describe(
          'Bound of the first wait before a reconnect, doubled after each failure, 0.01 to 60 s. The wait is a random part of it.',
        ),
      backoffMaxSeconds: z
        .number()
        .min(0.01)
        .max(3_600)
        .default(30)
        .describe('Largest bound of the wait before a reconnect, 0.01 to 3,600 s.'),
    })
    .prefault({})
    .describe('How devices connect and come back.'),
  sites: z.array(site).min(1).max(1_000).describe('Where devices are. Each device belongs to one room.'),
  devices: z.array(kind).min(1).max(100).describe('Kinds of devices.'),
  faults: faultsSchema.prefault({}).describe('What goes wrong; none by default.'),
})

export type Profile = z.output<typeof profileSchema>

export const profileChecks: readonly Check<Profile>[] = [
  { reads: ['sites'], run: ({ sites }) => repeated(sites, ['sites']) },
  {
    reads: ['sites'],
    run: ({ sites }) => sites.flatMap((each, index) => repeated(each.rooms, ['sites', index, 'rooms'])),
  },
  { reads: ['devices'], run: ({ devices }) => repeated(devices, ['devices']) },
  {
    reads: ['connection'],
    run: ({ connection: { backoffMinSeconds, backoffMaxSeconds } }) =>
      backoffMinSeconds <= backoffMaxSeconds
        ? []
        : [
            {
              path: ['connection', 'backoffMaxSeconds'],
              found: String(backoffMaxSeconds),
              allowed: `at least \`connection.backoffMinSeconds\` (${backoffMinSeconds})`,
            },
          ],
  },
]

function repeated(items: readonly { readonly name: string }[], path: readonly (string | number)[]) {
  const seen = new Set<string>()
  const faults: Fault[] = []
  for (const [index, { name }] of items.entries()) {
    if (seen.has(name))
      faults.push({
        path: [...path, index, 'name'],
        found: `${name} a second time`,
        allowed: 'a name of its own',
      })
    seen.add(name)
  }
  return faults
}
