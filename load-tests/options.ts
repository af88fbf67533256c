import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { showValue } from '../config/problem.js'
import { STAMP_BYTES } from './client/message-template.js'
import { TRANSPORTS } from './peers/broker.js'
import { scenarioNames, type ScenarioName } from './scenarios/all.js'
import { parseThreshold } from './thresholds.js'
import { TOPOLOGIES } from './traffic/plan.js'

/** What the first argument of `openclaw load` may be: a scenario, or all rows of the target table. */
export const workNames: readonly (ScenarioName | 'targets')[] = [...scenarioNames, 'targets']

/** The options of `openclaw load`, for the command line parser and the documentation. */
export const loadFlags: readonly (readonly [flag: string, description: string])[] = [
  [
    '--target <url>',
    'broker to load: ws://, wss://, mqtt:// or mqtts:// (default: the gateway, started for it)',
  ],
  ['--pid <n>', 'process of the target on this machine, to measure its CPU time and memory'],
  ['--peer <name...>', 'does the same work in turns: mosquitto, stock, stock-redis (started for it)'],
  ['--rounds <n>', 'runs of each broker (default: 3; targets: 9)'],
  ['--duration <time>', 'time that is measured, of each run: 500ms, 20s, 5m, 1h'],
  ['--warmup <time>', 'time under load before that (default: 1s)'],
  ['--publishers <n>', 'publishing clients'],
  ['--receivers <n>', 'receiving clients, or sessions of resume'],
  ['--connections <n>', 'clients of idle, storm and subscriptions'],
  ['--filters <n>', 'subscriptions of each client of subscriptions (default: 50)'],
  ['--messages <n>', 'retained messages, or messages for each session of resume'],
  ['--readers <n>', 'receivers of slow that stop reading, or clients that read all retained messages'],
  ['--qos <level>', 'QoS of messages and subscriptions: 0, 1, 2'],
  ['--payload <bytes>', `length of a payload, from ${STAMP_BYTES} (default: 64)`],
  ['--mqtt <version>', '3.1.1 or 5 (default: 3.1.1)'],
  ['--transport <name>', 'to a broker that is started: ws, wss, tcp, tls (default: ws)'],
  ['--outstanding <n>', 'closed loop: messages of a publisher under way at a time'],
  [
    '--rate <n>',
    'open loop: messages a second of all publishers; 50%: of the peak of the first peer, or of the target',
  ],
  ['--sessions <kind>', 'of receivers: clean, persistent (and connected), offline (default: clean)'],
  ['--store <type>', 'of the gateway that is started: level, memory, redis (default: level)'],
  [
    '--nodes <n>',
    'nodes of each broker that is started, on a Redis of their own: publishers on the first, receivers on the others',
  ],
  ['--sync', 'the gateway that is started has `store.sync: true`'],
  ['--workers <n>', 'processes that make load (default: 1)'],
  ['--sample <time>', 'time between two points of a soak (default: 10s)'],
  ['--username <name>', 'MQTT user name for the target'],
  ['--password-file <file>', 'file with the MQTT password, or a token, for the target'],
  ['--ca-file <file>', 'PEM file with the authority to trust for wss:// and mqtts://'],
  ['--only <text>', 'of targets: rows whose title has this text'],
  ['--html <file>', 'writes a report with charts'],
  ['--json', 'prints the report as JSON'],
  ['--cpu-prof <dir>', 'CPU profiles of the Node brokers that are started, with a summary'],
  ['--fail-below <name=value...>', 'exit code 1 when a median is below: ratio, ratio.METRIC or METRIC'],
  ['--fail-above <name=value...>', 'exit code 1 when a median is above'],
]

/** Options as a command line parser hands them over: keys in camel case, values as text. */
export type LoadArguments = Readonly<Record<string, unknown>>

const SCHEMES = ['ws:', 'wss:', 'mqtt:', 'tcp:', 'mqtts:', 'tls:']
/** What has something to say about more than one node. */
const ACROSS_NODES = [...TOPOLOGIES, 'idle', 'subscriptions'] as const
const PEERS = ['mosquitto', 'stock', 'stock-redis'] as const

function whole(least: number, most: number) {
  return z
    .string()
    .regex(/^\d+$/, 'a whole number')
    .transform(Number)
    .refine((value) => value >= least && value <= most, `from ${least} to ${most.toLocaleString('en-US')}`)
    .optional()
}

const duration = z
  .string()
  .transform(durationMs)
  .refine((ms): ms is number => ms !== undefined, 'a number with ms, s, m or h, such as 20s; up to 24 days')
  .optional()

const thresholds = z
  .array(
    z
      .string()
      .transform(parseThreshold)
      .refine((threshold) => threshold !== undefined, 'ratio=8, ratio.p99=1.2 or p99=5; names as in --json'),
  )
  .default([])

const schema = z.strictObject({
  target: z
    .string()
    .refine(
      (text) =>
        URL.canParse(text) && SCHEMES.includes(new URL(text).protocol) && new URL(text).hostname !== '',
      'a URL that begins with ws://, wss://, mqtt:// or mqtts://',
    )
    .refine(
      // The report repeats the command.
      (text) => !URL.canParse(text) || new URL(text).username === '',
      'a URL without credentials: these go into --username and --password-file',
    )
    .optional(),
  pid: whole(1, 2 ** 22),
  peer: z.array(z.enum(PEERS, PEERS.join(', '))).default([]),
  rounds: whole(1, 1_000),
  duration,
  warmup: duration,
  publishers: whole(1, 100_000),
  receivers: whole(1, 100_000),
  connections: whole(1, 1_000_000),
  filters: whole(1, 1_000),
  messages: whole(1, 10_000_000),
  readers: whole(1, 100_000),
  qos: z
    .enum(['0', '1', '2'], '0, 1 or 2')
    .transform((text) => Number(text) as 0 | 1 | 2)
    .optional(),
  payload: whole(STAMP_BYTES, 1_000_000),
  mqtt: z
    .enum(['5', '3.1.1'], '5 or 3.1.1')
    .transform((version) => (version === '5' ? (5 as const) : (4 as const)))
    .optional(),
  transport: z.enum(TRANSPORTS, TRANSPORTS.join(', ')).optional(),
  outstanding: whole(1, 10_000),
  rate: z
    .string()
    .regex(/^\d+(\.\d+)?%?$/, 'messages a second, or a percentage such as 50%')
    .optional(),
  sessions: z.enum(['clean', 'persistent', 'offline'], 'clean, persistent, offline').optional(),
  store: z.enum(['level', 'memory', 'redis'], 'level, memory, redis').optional(),
  nodes: whole(2, 16),
  sync: z.boolean().default(false),
  workers: whole(1, 64),
  sample: duration,
  username: z.string().min(1, 'a name').optional(),
  passwordFile: z.string().optional(),
  caFile: z.string().optional(),
  only: z.string().optional(),
  html: z.string().optional(),
  json: z.boolean().default(false),
  cpuProf: z.string().optional(),
  failBelow: thresholds,
  failAbove: thresholds,
})
export type LoadOptions = z.output<typeof schema>

export type ParsedLoadOptions =
  | { readonly ok: true; readonly options: LoadOptions }
  | { readonly ok: false; readonly problems: readonly string[] }

/** Checks the options; reports everything that is wrong at once. */
export function parseLoadOptions(work: ScenarioName | 'targets', args: LoadArguments): ParsedLoadOptions {
  const result = schema.safeParse(args)
  if (!result.success) {
    return {
      ok: false,
      problems: result.error.issues.flatMap((issue) =>
        issue.code === 'unrecognized_keys'
          ? issue.keys.map((key) => `${flagOf(key)}: there is no such option`)
          : `${flagOf(String(issue.path[0]))}: found ${showValue(valueAt(args, issue.path))}; allowed: ${issue.message}`,
      ),
    }
  }
  const problems = contradictions(work, result.data)
  return problems.length === 0 ? { ok: true, options: result.data } : { ok: false, problems }
}

function contradictions(work: ScenarioName | 'targets', options: LoadOptions): string[] {
  const { target, transport, rate, outstanding, sessions, qos, workers = 1, nodes, store, peer } = options
  const problems: [wrong: boolean, text: string][] = [
    [
      target !== undefined && transport !== undefined,
      '--transport: found together with --target; allowed: one of them, the URL says the transport',
    ],
    [
      target === undefined && options.pid !== undefined,
      '--pid: found without --target; allowed: the process of a target',
    ],
    [target !== undefined && work === 'targets', '--target: found with targets; allowed: a scenario'],
    [
      nodes !== undefined && !knowsNodes(work),
      `--nodes: found with ${work}; allowed: ${ACROSS_NODES.join(', ')}`,
    ],
    [
      nodes !== undefined && target !== undefined,
      '--nodes: found together with --target; allowed: brokers that are started',
    ],
    [
      nodes !== undefined && ((store !== undefined && store !== 'redis') || options.sync),
      '--nodes: found with a store of one process; allowed: redis',
    ],
    [
      nodes !== undefined && peer.some((name) => name !== 'stock-redis'),
      '--nodes: found with a peer that has one node; allowed: stock-redis',
    ],
    [
      options.sync && store !== undefined && store !== 'level',
      '--sync: found without the store level; allowed: `--store level`',
    ],
    [
      rate !== undefined && outstanding !== undefined,
      '--rate: found together with --outstanding; allowed: one of them',
    ],
    [
      sessions === 'offline' && qos !== 1 && qos !== 2,
      '--sessions: found offline without --qos 1 or 2; allowed: messages that are queued and acknowledged',
    ],
    [
      work === 'fanin' && workers > 1 && rate === undefined,
      '--workers: found more than one with fanin, whose one receiver closes the loop; allowed: one, or --rate',
    ],
    [
      (work === 'slow' || work === 'soak') && outstanding !== undefined,
      `--outstanding: found with ${work}, which measures latency at a rate; allowed: --rate`,
    ],
  ]
  return problems.flatMap(([wrong, text]) => (wrong ? [text] : []))
}

function knowsNodes(work: string): boolean {
  return (ACROSS_NODES as readonly string[]).includes(work)
}

/** `20s` and the like in milliseconds; undefined when it is no duration, or longer than a timer runs (24 days). */
function durationMs(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text)
  const unit = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }[match?.[2] ?? ''] ?? NaN
  const ms = Number(match?.[1]) * unit
  return ms > 0 && ms < 2 ** 31 ? ms : undefined
}

/** Reads a file that an option names; the message names the option. */
export function readOptionFile(option: string, file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new OptionFileError(
      `${option}: ${file} cannot be read (${(error as NodeJS.ErrnoException).code ?? ''})`,
    )
  }
}

export class OptionFileError extends Error {
  override readonly name = 'OptionFileError'
}

function valueAt(args: LoadArguments, path: readonly PropertyKey[]): unknown {
  const [key, index] = path
  const value = args[String(key)]
  return Array.isArray(value) && typeof index === 'number' ? (value as unknown[])[index] : value
}

function flagOf(key: string): string {
  return `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
}
