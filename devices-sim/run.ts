import { systemClock, type Clock, type Timer } from '../broker/contract/clock.js'
import { GatewayError } from '../broker/contract/errors.js'
import type { Environment } from '../config/environment.js'
import { startFleet, type Fleet, type FleetOptions } from './fleet.js'
import {
  OptionFileError,
  parseSimOptions,
  readOptionFile,
  type SimArguments,
  type SimOptions,
} from './options.js'
import { loadProfile } from './profile/load.js'
import type { Profile } from './profile/schema.js'
import { statusLine, summaryText, type SimSummary } from './report.js'

export interface SimIo {
  /** The summary. */
  readonly out: Output
  /** Progress and problems. */
  readonly err: Output
  readonly environment: Environment
  /** Ends the run as if its time were over (Ctrl-C). */
  readonly signal: AbortSignal
  readonly clock?: Clock
}

/** As `process.stdout`. */
export interface Output {
  write(text: string): unknown
  readonly isTTY?: boolean
  readonly columns?: number
}

/** 0: done; 1: failed (broker not reached, or it refused); 2: wrong usage (options, profile, files). */
export type ExitCode = 0 | 1 | 2

const STATUS_EVERY_MS = 1_000

/** `openclaw sim`: runs a fleet until its time is over or `io.signal` aborts. Never rejects for what a user does. */
export async function runSim(args: SimArguments, io: SimIo): Promise<ExitCode> {
  const parsed = parseSimOptions(args)
  if (!parsed.ok) {
    io.err.write(`${parsed.problems.join('\n')}\n`)
    return 2
  }
  const { options } = parsed
  try {
    const profile = withOverrides(loadProfile(options.profile, io.environment), options)
    const summary = await runFleet(options, profile, io)
    io.out.write(`${options.json ? JSON.stringify(summary) : summaryText(summary)}\n`)
    return 0
  } catch (error) {
    if (!(error instanceof GatewayError || error instanceof OptionFileError)) throw error
    return failed(error, options, io)
  }
}

async function runFleet(options: SimOptions, profile: Profile, io: SimIo): Promise<SimSummary> {
  const clock = io.clock ?? systemClock
  // While the broker is away there is no socket, and the clock's timers let the process end.
  const hold = setInterval(() => {}, 2 ** 30)
  try {
    const fleet = await startFleet({ ...fleetOptions(options, profile, io), clock })
    const startedAt = clock.now()
    const status = showStatus(fleet, io.err, clock)
    await timeOver(options.for, io.signal, clock)
    status.end()
    const seconds = (clock.now() - startedAt) / 1_000
    const stats = await fleet.stop()
    return { ...stats, profile: options.profile, seed: options.seed, seconds, errors: stats.publishErrors }
  } finally {
    clearInterval(hold)
  }
}

function fleetOptions(options: SimOptions, profile: Profile, io: SimIo): FleetOptions {
  const { passwordFile, tokenFile, caFile } = options
  const secretFile = passwordFile ?? tokenFile
  const secretOption = passwordFile === undefined ? '--token-file' : '--password-file'
  return {
    profile,
    devices: options.devices,
    seed: options.seed,
    broker: {
      url: options.broker,
      ca: caFile === undefined ? undefined : readOptionFile('--ca-file', caFile),
    },
    // MQTT 3.1.1 allows a password only with a user name [MQTT-3.1.2-22].
    username: options.username ?? (secretFile === undefined ? undefined : 'simulator'),
    password:
      secretFile === undefined ? undefined : readOptionFile(secretOption, secretFile).toString('utf8').trim(),
    prefix: options.prefix,
    protocolVersion: options.mqtt,
    signal: io.signal,
  }
}

function withOverrides(profile: Profile, options: SimOptions): Profile {
  const { connectRate, interval, qos, timeScale } = options
  return {
    ...profile,
    intervalSeconds: interval ?? profile.intervalSeconds,
    timeScale: timeScale ?? profile.timeScale,
    qos: qos ?? profile.qos,
    connection: { ...profile.connection, rate: connectRate ?? profile.connection.rate },
  }
}

/** A line that rewrites itself on a terminal; nothing elsewhere. */
function showStatus(fleet: Fleet, err: Output, clock: Clock): { end(): void } {
  if (err.isTTY !== true) return { end: () => {} }
  let published = 0
  const show = (): void => {
    const stats = fleet.stats()
    const line = statusLine(
      stats,
      (stats.published - published) / (STATUS_EVERY_MS / 1_000),
      fleet.lastConnectProblem(),
    )
    published = stats.published
    err.write(`\r\x1b[K${line.slice(0, (err.columns ?? 120) - 1)}`)
    timer = clock.schedule(STATUS_EVERY_MS, show)
  }
  let timer: Timer | undefined
  show()
  return {
    end: () => {
      timer?.cancel()
      err.write('\r\x1b[K')
    },
  }
}

/** Resolves after `ms` (undefined: never), or when the signal aborts. */
async function timeOver(ms: number | undefined, signal: AbortSignal, clock: Clock): Promise<void> {
  if (signal.aborted) return
  await new Promise<void>((resolve) => {
    const timer = ms === undefined ? undefined : clock.schedule(ms, () => over())
    const over = (): void => {
      timer?.cancel()
      signal.removeEventListener('abort', over)
      resolve()
    }
    signal.addEventListener('abort', over)
  })
}

function failed(error: GatewayError | OptionFileError, options: SimOptions, io: SimIo): ExitCode {
  const code = error instanceof GatewayError ? error.code : 'OPTION_FILE'
  const hint = error instanceof GatewayError ? error.hint : undefined
  io.err.write(`${error.message}\n${hint === undefined ? '' : `${hint}\n`}`)
  if (options.json) {
    io.out.write(
      `${JSON.stringify({ error: { code, message: error.message, ...(hint === undefined ? {} : { hint }) } })}\n`,
    )
  }
  return code === 'BROKER_UNREACHABLE' || code === 'BROKER_REFUSED' ? 1 : 2
}
