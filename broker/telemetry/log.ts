import { pino, type DestinationStream, type Logger } from 'pino'
import pretty from 'pino-pretty'
import type { Config } from '../../config/schema.js'
import type { Clock } from '../contract/clock.js'

export type Log = Logger

export interface LogOptions extends Readonly<Config['log']> {
  /** In every line; undefined: left out. */
  readonly node: string | undefined
  readonly clock: Clock
  /** Where lines go. Default: standard output. */
  readonly destination?: DestinationStream
}

/**
 * The log. Lines are written at once and not in the background: a line about the end of the process must not be lost
 * with it, and everything that clients can cause is bounded (`line-limiter.ts`).
 */
export function createLog({ level, format, node, clock, destination = standardOutput() }: LogOptions): Log {
  return pino(
    {
      level,
      base: node === undefined ? {} : { node },
      timestamp: () => `,"time":"${new Date(clock.now()).toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: SECRET_PATHS, censor: '(secret)' },
    },
    format === 'pretty' ? prettyPrinted(destination) : destination,
  )
}

/** The second net: no event hands a secret to the log, and what is called like one is blotted out all the same. */
const SECRET_KEYS = ['password', 'bearerToken', 'token', 'secret', 'authorization', 'credentials', 'payload']
const SECRET_PATHS = SECRET_KEYS.flatMap((key) => [key, `*.${key}`, `*.*.${key}`])

function standardOutput(): DestinationStream {
  // Handles a closed pipe (EPIPE) by falling silent, where a bare stream would end the process.
  return pino.destination({ dest: 1, sync: true })
}

function prettyPrinted(destination: DestinationStream): DestinationStream {
  const format = pretty.prettyFactory({
    colorize: pretty.isColorSupported && process.stdout.isTTY,
    translateTime: 'SYS:HH:MM:ss.l',
    ignore: 'node,part,event',
    messageFormat: '{part}: {msg}',
    singleLine: true,
  })
  return { write: (line) => destination.write(format(line)) }
}
