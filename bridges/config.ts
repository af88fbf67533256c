import { z } from 'zod'
import type { SettingFault } from '../broker/contract/connector.js'
import { filtersOverlap } from '../broker/contract/topic.js'
import type { Environment } from '../config/environment.js'
import { showValue, type Fault } from '../config/problem.js'
import { readSettings, readSettingsFile, type SettingsKind } from '../config/settings.js'
import {
  codecs,
  sinkOf,
  sinks,
  sourceOf,
  sources,
  transformOf,
  transforms,
  windowOf,
  windows,
} from './connectors.js'
import { cycles, type Route } from './cycles.js'
import { duration } from './duration.js'

const source = z.discriminatedUnion('type', [sources[0].schema])
const codec = z.discriminatedUnion('type', [codecs[0].schema])
const transform = z.discriminatedUnion('type', [
  transforms[0].schema,
  transforms[1].schema,
  transforms[2].schema,
  transforms[3].schema,
])
const window = z.discriminatedUnion('type', [windows[0].schema])
const sink = z.discriminatedUnion('type', [sinks[0].schema])

const retry = z.strictObject({
  first: duration({ min: '10ms', max: '1m' })
    .prefault('500ms')
    .describe('Longest first delay before a failed connection or write is tried again, 10ms to 1m.'),
  longest: duration({ min: '10ms', max: '1h' })
    .prefault('30s')
    .describe('The delay doubles with each failure up to this, 10ms to 1h.'),
  giveUpAfter: duration({ min: '1s', max: '30d' })
    .optional()
    .describe(
      'From the first failure of a write until its records are dropped (`gave_up`), 1s to 30d. Default: never; while a sink is away nothing more is read.',
    ),
})

const pipeline = z
  .strictObject({
    name: z
      .string()
      .regex(/^[a-z0-9][a-z0-9-]{0,47}$/, 'lower-case letters, digits and `-`, 1 to 48 characters')
      .describe('Name in logs, metrics and client identifiers; unique.'),
    source: source.describe('Where records come from.'),
    decode: codec.prefault({ type: 'json' }).describe('How a payload becomes a value.'),
    transforms: z.array(transform).default([]).describe('What happens to each record, in order.'),
    window: window.optional().describe('How records are collected; without it each goes on by itself.'),
    encode: codec.prefault({ type: 'json' }).describe('How a value becomes a payload.'),
    sink: sink.describe('Where results go.'),
    onStop: z
      .enum(['flush', 'discard'])
      .default('flush')
      .describe(
        'What becomes of windows that are open when the pipeline stops. `flush` publishes them as they are, marked `partial`. `discard` forgets them: with a QoS 1 source on another broker their inputs were not acknowledged, come again after the restart, and make one whole result.',
      ),
    retry: retry.prefault({}),
  })
  .superRefine((settings, context) => {
    for (const { path, allowed } of contradictions(settings))
      context.addIssue({ code: 'custom', path: [...path], message: allowed })
  })

export const bridgesSchema = z.strictObject({
  pipelines: z.array(pipeline).min(1).describe('Each runs on its own; one that waits holds up no other.'),
})

export type PipelineConfig = z.output<typeof pipeline>

export interface LoadBridgesOptions {
  readonly file: string
  readonly env: Environment
}

/**
 * The pipelines of a bridges file, as plain data. Throws `CONFIG_UNREADABLE` (missing, not YAML) or `BRIDGES_INVALID`
 * with all problems at once, each with its key path and line.
 */
export function loadBridges({ file, env }: LoadBridgesOptions): readonly PipelineConfig[] {
  const text = readSettingsFile(file, 'CONFIG_UNREADABLE')
  return readBridges(text, { name: file, env })
}

export function readBridges(
  text: string,
  { name, env }: { readonly name: string; readonly env: Environment },
): readonly PipelineConfig[] {
  return readSettings(bridgesSettings, { name, text, overrides: [], environment: env }).pipelines
}

const bridgesSettings: SettingsKind<typeof bridgesSchema> = {
  schema: bridgesSchema,
  checks: [
    { reads: ['pipelines'], run: ({ pipelines }) => uniqueNames(pipelines) },
    { reads: ['pipelines'], run: ({ pipelines }) => cycles(pipelines.map(routeOf)) },
  ],
  codes: { unreadable: 'CONFIG_UNREADABLE', invalid: 'BRIDGES_INVALID' },
}

type PipelineSettings = Omit<PipelineConfig, 'name' | 'onStop' | 'retry' | 'decode' | 'encode'>

/** What is wrong between the parts of a pipeline: names that nobody captures, a pipeline that feeds itself. */
function contradictions(settings: PipelineSettings): readonly SettingFault[] {
  const from = sourceOf(settings.source)
  const to = sinkOf(settings.sink)
  const captured = from.captures(settings.source)
  const faults: SettingFault[] = []
  for (const [index, entry] of settings.transforms.entries())
    faults.push(...below(['transforms', index], transformOf(entry).check?.(entry, captured)))

  let reaching = captured
  if (settings.window !== undefined) {
    const collects = windowOf(settings.window)
    const windowFaults = below(['window'], collects.check(settings.window, captured))
    faults.push(...windowFaults)
    reaching = collects.captures(settings.window)
    // A wrong group is one fault, not one more for each name that is missing behind it.
    if (windowFaults.length > 0) reaching = [...new Set([...captured, ...reaching])]
  }
  faults.push(...below(['sink'], to.check(settings.sink, reaching)))

  const { reads, publishes } = topicsOf(settings)
  if (reads !== undefined && publishes.some((filter) => filtersOverlap(filter, reads)))
    faults.push({
      path: ['sink', 'topic'],
      allowed: `topics that the source of the same pipeline (${reads}) does not read`,
    })
  return faults
}

function topicsOf({ source, sink }: Pick<PipelineSettings, 'source' | 'sink'>): Omit<Route, 'name'> {
  return { reads: sourceOf(source).reads?.(source), publishes: sinkOf(sink).publishes?.(sink) ?? [] }
}

function routeOf(pipeline: PipelineConfig): Route {
  return { name: pipeline.name, ...topicsOf(pipeline) }
}

function below(
  section: readonly (string | number)[],
  faults: readonly SettingFault[] = [],
): readonly SettingFault[] {
  return faults.map(({ path, allowed }) => ({ path: [...section, ...path], allowed }))
}

function uniqueNames(pipelines: readonly PipelineConfig[]): readonly Fault[] {
  const names = pipelines.map(({ name }) => name)
  return names.flatMap((name, index) =>
    names.indexOf(name) === index
      ? []
      : [
          {
            path: ['pipelines', index, 'name'],
            found: `${showValue(name)}, the name of an earlier entry`,
            allowed: 'a name of its own',
          },
        ],
  )
}
