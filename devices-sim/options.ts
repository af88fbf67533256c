import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { showValue } from '../config/problem.js'
import { DEFAULT_PROFILE } from './profile/load.js'

/** The options of `openclaw sim`, for the command line parser and the documentation. */
export const simFlags: readonly (readonly [flag: string, description: string])[] = [
  [
    '--broker <url>',
    'where to connect: ws://, wss://, mqtt:// or mqtts:// (default: ws://127.0.0.1:8080/mqtt)',
  ],
  ['--devices <n>', 'number of devices, 1 to 100,000 (default: 24)'],
  ['--profile <name-or-file>', `a shipped profile or a YAML file (default: ${DEFAULT_PROFILE})`],
  ['--seed <n>', 'the same seed gives the same readings (default: 1)'],
  ['--interval <seconds>', 'time between two samples of a device, instead of the profile’s'],
  ['--time-scale <factor>', 'model seconds in a real second, instead of the profile’s'],
  ['--qos <level>', 'QoS of the readings (0, 1, 2), instead of the profile’s'],
  ['--connect-rate <n>', 'connections opened in a second, instead of the profile’s'],
  ['--for <duration>', 'stop after this time: 500ms, 20s, 5m, 1h (default: run until Ctrl-C)'],
  ['--prefix <text>', 'before all device names, so that two fleets fit on one broker'],
  ['--mqtt <version>', '5 or 3.1.1 (default: 5)'],
  ['--username <name>', 'MQTT user name'],
  ['--password-file <file>', 'file with the MQTT password'],
  ['--token-file <file>', 'file with a token (JWT), sent as the MQTT password'],
  ['--ca-file <file>', 'PEM file with the authority to trust for wss:// and mqtts://'],
  ['--json', 'last line of the output is one JSON object'],
]

/** Options as a command line parser hands them over: keys in camel case, values as text. */
export type SimArguments = Readonly<Record<string, unknown>>

export type ParsedSimOptions =
  | { readonly ok: true; readonly options: SimOptions }
  | { readonly ok: false; readonly problems: readonly string[] }

const SCHEMES = ['ws:', 'wss:', 'mqtt:', 'tcp:', 'mqtts:', 'tls:']

/** Text to number; what is no number stays text, for the message. */
function number(type: z.ZodType<number>) {
  return z.preprocess((text) => (typeof text === 'string' && text.trim() !== '' ? Number(text) : text), type)
}

const schema = z.strictObject({
  broker: z
    .string()
    .default('ws://127.0.0.1:8080/mqtt')
    .transform((text) => (URL.canParse(text) ? new URL(text) : undefined))
    .refine(
      (url): url is URL => url !== undefined && SCHEMES.includes(url.protocol) && url.hostname !== '',
      'a URL that begins with ws://, wss://, mqtt:// or mqtts://',
    )
    .transform((url) => url),
  devices: number(z.int('an integer').min(1, 'at least 1').max(100_000, 'at most 100,000')).default(24),
  profile: z.string().min(1).default(DEFAULT_PROFILE),
  seed: number(z.int('an integer')).default(1),
  interval: number(z.number('seconds').min(0.01, 'at least 0.01').max(86_400, 'at most 86,400')).optional(),
  timeScale: number(z.number('a number').positive('above 0').max(100_000, 'at most 100,000')).optional(),
  qos: z
    .enum(['0', '1', '2'], '0, 1 or 2')
    .transform((text) => Number(text) as 0 | 1 | 2)
    .optional(),
  connectRate: number(z.number('a number').min(0.1, 'at least 0.1').max(10_000, 'at most 10,000')).optional(),
  for: z
    .string()
    .transform(parseDuration)
    .refine((ms) => ms !== undefined, 'a number with ms, s, m or h, such as 20s; up to 24 days')
    .optional(),
  prefix: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,32}$/, '1 to 32 letters, digits, `_` and `-`')
    .optional(),
  mqtt: z
    .enum(['5', '3.1.1'], '5 or 3.1.1')
    .default('5')
    .transform((version) => (version === '5' ? 5 : 4)),
  username: z.string().min(1, 'a name').optional(),
  passwordFile: z.string().optional(),
  tokenFile: z.string().optional(),
  caFile: z.string().optional(),
  json: z.boolean().default(false),
})
export type SimOptions = z.output<typeof schema>

/** Checks the options; reports everything that is wrong at once. */
export function parseSimOptions(args: SimArguments): ParsedSimOptions {
  const result = schema.safeParse(args)
  const problems = result.success
    ? []
    : result.error.issues.flatMap((issue) =>
        issue.code === 'unrecognized_keys'
          ? issue.keys.map((key) => `${flagOf(key)}: there is no such option`)
          : `${flagOf(String(issue.path[0]))}: found ${showValue(args[String(issue.path[0])])}; allowed: ${issue.message}`,
      )
  if (args['passwordFile'] !== undefined && args['tokenFile'] !== undefined) {
    problems.push('--token-file: found together with --password-file; allowed: one of them')
  }
  return result.success && problems.length === 0
    ? { ok: true, options: result.data }
    : { ok: false, problems }
}

/** `20s` and the like in milliseconds; undefined when it is no duration, or longer than a timer runs (24 days). */
export function parseDuration(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text)
  const unit = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }[match?.[2] ?? ''] ?? NaN
  const ms = Number(match?.[1]) * unit
  return ms > 0 && ms < 2 ** 31 ? ms : undefined
}

/** Reads a file that an option names; the message names the option. */
export function readOptionFile(option: string, file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (error) {
    throw new OptionFileError(
      `${option}: ${file} cannot be read (${(error as NodeJS.ErrnoException).code ?? ''})`,
    )
  }
}

export class OptionFileError extends Error {
  override readonly name = 'OptionFileError'
}

function flagOf(key: string): string {
  return `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
}
