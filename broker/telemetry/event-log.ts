import type { ConnectionInfo } from '../contract/transport.js'
import type { LineBounds, LineLimiter } from './line-limiter.js'
import type { Log } from './log.js'
import { printable } from './printable.js'

export type Fields = Readonly<Record<string, unknown>>

/** The log of one part: each line names its event; whatever clients can repeat is bounded by a key of theirs. */
export class EventLog {
  constructor(
    private readonly log: Log,
    private readonly limiter: LineLimiter,
  ) {}

  /** Data was lost, or an operator is needed. */
  error(event: string, key: string, fields: Fields, text: string): void {
    if (this.limiter.admit(event, key, TROUBLE)) this.log.error({ event, ...fields }, text)
  }

  /** Unexpected, nothing lost. */
  warn(event: string, key: string, fields: Fields, text: string): void {
    if (this.limiter.admit(event, key, TROUBLE)) this.log.warn({ event, ...fields }, text)
  }

  /** What comes and goes. */
  info(event: string, key: string, fields: Fields, text: string): void {
    if (this.log.isLevelEnabled('info') && this.limiter.admit(event, key, TRAFFIC))
      this.log.info({ event, ...fields }, text)
  }

  /** Asked for by whoever chose the level, so it has no bound; `fields` is a function, for most do not ask. */
  debug(event: string, fields: () => Fields, text: string): void {
    if (this.log.isLevelEnabled('debug')) this.log.debug({ event, ...fields() }, text)
  }
}

/** Fields of every line about a connection. The token is left out by not being named. */
export function connectionFields(info: ConnectionInfo): Fields {
  return {
    connection: info.connectionId,
    listener: info.listener,
    remote: `${printable(info.remoteAddress)}:${info.remotePort}`,
  }
}

/** Name, code and message of an error, and what mends it where that is known. */
export function errorFields(error: unknown): Fields {
  if (!(error instanceof Error)) return { error: printable(String(error), LONGEST_ERROR) }
  const code = 'code' in error && typeof error.code === 'string' ? { code: error.code } : {}
  const hint =
    'hint' in error && typeof error.hint === 'string' ? { hint: printable(error.hint, LONGEST_HINT) } : {}
  return { error: printable(`${error.name}: ${error.message}`, LONGEST_ERROR), ...code, ...hint }
}

const LONGEST_ERROR = 500
const LONGEST_HINT = 1_000
const TROUBLE: LineBounds = { perKey: 3, perEvent: 50 }
const TRAFFIC: LineBounds = { perKey: 100, perEvent: 1_000 }
