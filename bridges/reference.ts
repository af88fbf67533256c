import type { z } from 'zod'
import { recordDropReasons } from '../broker/contract/connector.js'
import { describeType, jsonSchema, type SchemaNode } from '../config/json-schema.js'
import { bridgesSchema } from './config.js'
import { codecs, sinks, sources, transforms, windows } from './connectors.js'

/** `docs/bridges.md`: what is written around the declarations, and the declarations. */
export function bridgesPage(): string {
  return [
    INTRODUCTION,
    '## A pipeline',
    table(pipelineSchema()),
    '`retry` is a section:',
    table(pipelineSchema().properties?.['retry'] ?? {}),
    ...kind('Sources', sources),
    ...kind('Codecs', codecs),
    ...kind('Transforms', transforms),
    ...kind('Windows', windows),
    ...kind('Sinks', sinks),
    DELIVERY,
    `The reasons are ${recordDropReasons.map((reason) => `\`${reason}\``).join(', ')}.`,
    EXTENDING,
  ].join('\n\n')
}

interface Documented {
  readonly name: string
  readonly summary: string
  readonly schema: z.ZodObject
  readonly notes?: readonly string[]
}

function kind(heading: string, declarations: readonly Documented[]): readonly string[] {
  return [`## ${heading}`, ...declarations.flatMap(connector)]
}

function connector({ name, summary, schema, notes = [] }: Documented): readonly string[] {
  const node = jsonSchema(schema)
  const { type, ...keys } = node.properties ?? {}
  const own =
    type === undefined || Object.keys(keys).length === 0 ? [] : [table({ ...node, properties: keys })]
  const sections = Object.entries(keys).flatMap(([key, child]) =>
    child.properties === undefined ? [] : [`\`${key}\` is a section:`, table(child)],
  )
  return [`### \`${name}\``, summary, ...own, ...sections, ...notes]
}

function table({ properties = {}, required = [] }: SchemaNode): string {
  const rows = Object.entries(properties).map(([key, node]) => {
    const cells = [
      `\`${key}\``,
      typeText(node),
      defaultText(node, required.includes(key)),
      node.description ?? '',
    ]
    return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  })
  return ['| key | type and range | default | |', '|---|---|---|---|', ...rows].join('\n')
}

function typeText(node: SchemaNode): string {
  const variants = (node.items ?? node).oneOf
  if (variants === undefined) return describeType(node)
  const names = variants.map((variant) => `\`${String(variant.properties?.['type']?.const)}\``).join(', ')
  return `${node.items === undefined ? 'section' : 'list of sections'} with \`type\`: ${names}`
}

function defaultText({ default: value }: SchemaNode, required: boolean): string {
  if (value === undefined) return required ? 'required' : ''
  return typeof value === 'object' && value !== null && 'type' in value
    ? `\`${String(value.type)}\``
    : `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``
}

function pipelineSchema(): SchemaNode {
  return jsonSchema(bridgesSchema).properties?.['pipelines']?.items ?? {}
}

const INTRODUCTION = `# Bridges

<!-- Written by \`npm run docs\` from bridges/reference.ts and the declarations of the connectors. -->

Pipelines read records from a source, make something of them, and write results to a sink: raw sensor topics become small, clean feeds.

    source -> decode -> transforms -> window -> encode -> sink

They are declared in one file, \`config/bridges.yaml\` in the demo, and run

- inside a gateway, when \`bridges.file\` of its configuration names the file. They have a thread of their own, so that a heavy
  pipeline delays no connection; if the thread dies it is started again, and what it had not settled is delivered to it again;
- or alone, beside any MQTT broker: \`openclaw bridges --broker mqtt://HOST:1883 --config config/bridges.yaml\`.

A bridges file with unknown keys, bad values or names that no capture has stops the start with all problems at once, each with its key path,
what was found, what is allowed, and its line. Values may hold \`\${NAME}\` and \`\${NAME:-default}\` from the environment.
Time spans are written \`500ms\`, \`10s\`, \`1m\`, \`2h\`, \`1d\`.

\`\`\`yaml
pipelines:
  - name: rooms
    source:
      type: mqtt
      topic: sensors/{site}/{room}/{device}/{metric}
    window:
      type: tumbling
      sizes: [5s, 1m]
      by: [site, room, metric]
      time: ts
    sink:
      type: mqtt
      topic: feeds/{site}/{room}/{metric}/{window}
      retain: true
\`\`\``

const DELIVERY = `## What is promised

- **Order.** Records of a pipeline go through it in the order in which they came.
- **At least once, with QoS 1.** An input is settled when the sink has what became of it; with a window, when the window's
  result has been published. What was not settled comes again: to the next thread inside a gateway, after a reconnect or a restart at another broker. A sink may therefore see a result twice.
  A reading that comes again over a broken connection is recognised and counts once.
- **Back-pressure.** While a sink is slow or away its pipeline reads nothing, writes again after growing delays, and uses bounded memory. What then happens to new input is up to
  the source: QoS 0 is dropped and counted, QoS 1 waits at the broker.
- **The end.** On stop the source takes nothing more in, what has arrived goes through, open windows are published (or discarded, \`onStop\`), the sink gets the rest, then everything closes;
  all within the grace of the shutdown.
- **Bad input stops nothing.** A record that does not decode, has no number or lies far outside of time is dropped, counted by reason
  (\`openclaw_bridge_records_dropped_total\`) and logged at most every ten seconds for each reason, with its topic and never its payload.`

const EXTENDING = `## Writing a connector

A connector is one declaration: a name, a schema whose descriptions are this page, and a constructor. \`broker/contract/connector.ts\` holds the interfaces with
what they promise; \`bridges/transforms/scale.ts\` is a short example. Put a transform into \`bridges/transforms/\`, a source or a sink into a folder
of its own under \`bridges/sources/\` or \`bridges/sinks/\`, and add it to \`bridges/connectors.ts\` and the union in \`bridges/config.ts\`.
`
