import { setTimeout as sleep } from 'node:timers/promises'
import { Command } from 'commander'
import { loadConfig } from '../../../config/load.js'
import type { Config } from '../../../config/schema.js'
import type { DrainStatus } from '../../contract/drain.js'
import { GatewayError } from '../../contract/errors.js'
import { EXIT } from '../exit.js'
import { overrideOption } from './options.js'

/** Between two looks at how far it is, milliseconds. */
const LOOK_EVERY_MS = 250
/** Between two lines for whoever waits, milliseconds. */
const TELL_EVERY_MS = 2_000
const REQUEST_TIMEOUT_MS = 10_000

interface Options {
  readonly config?: string
  readonly set: readonly string[]
  readonly url?: string
  readonly json: boolean
}

/** `ended`: the process was ended while it was being drained. */
type Outcome = Omit<DrainStatus, 'phase'> & { readonly phase: DrainStatus['phase'] | 'ended' }

export function drainCommand(): Command {
  return new Command('drain')
    .description(
      'empty a running gateway: no new clients, the others are asked to leave; waits until they have',
    )
    .option('--config <file>', 'configuration of that gateway (default: config/gateway.yaml)')
    .addOption(overrideOption())
    .option('--url <url>', 'its admin listener, instead of the one of the configuration')
    .option('--json', 'the outcome as one JSON object', false)
    .action(run)
}

async function run({ url, json, config: file, set }: Options): Promise<void> {
  const base = url ?? adminUrl(loadConfig({ file, overrides: set, env: process.env }).config.admin)
  const outcome = await drained(new URL('/api/v1/drain', base))
  process.stdout.write(`${json ? JSON.stringify(outcome) : describe(outcome)}\n`)
  process.exitCode = outcome.clients === 0 ? EXIT.done : EXIT.failed
}

async function drained(url: URL): Promise<Outcome> {
  let outcome = await ask(url, 'POST')
  let toldAt = performance.now()
  while (outcome.phase !== 'drained') {
    await sleep(LOOK_EVERY_MS)
    const former = outcome
    try {
      outcome = await ask(url, 'GET')
    } catch {
      // Whoever has ended the process meanwhile has ended the rest of its connections with it.
      return { ...former, phase: 'ended', clients: 0 }
    }
    if (performance.now() - toldAt < TELL_EVERY_MS) continue
    toldAt = performance.now()
    process.stderr.write(
      `${outcome.phase}: ${outcome.clients} of ${outcome.clientsAtStart} clients are left\n`,
    )
  }
  return outcome
}

async function ask(url: URL, method: 'GET' | 'POST'): Promise<DrainStatus> {
  let response: Response
  try {
    response = await fetch(url, { method, signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS) })
  } catch (error) {
    throw new GatewayError('ADMIN_UNREACHABLE', `Nothing answers at ${url.origin}.`, {
      cause: error,
      hint: 'Start the gateway, or name its configuration (--config) or its admin listener (--url).',
    })
  }
  if (response.ok) return (await response.json()) as DrainStatus
  throw new GatewayError('ADMIN_UNREACHABLE', `${url.origin} has answered with ${response.status}.`, {
    hint: 'A drain can be begun on the machine (in the container) of the gateway only.',
  })
}

function adminUrl({ enabled, host, port }: Config['admin']): string {
  if (!enabled || port === 0)
    throw new GatewayError(
      'ADMIN_UNREACHABLE',
      'The configuration does not say where the admin listener is.',
      {
        hint: 'Set `admin.enabled: true` and a port, or name the listener with --url.',
      },
    )
  const own = ['0.0.0.0', '::'].includes(host) ? '127.0.0.1' : host
  return `http://${own.includes(':') ? `[${own}]` : own}:${port}`
}

function describe({ phase, clients, clientsAtStart, seconds }: Outcome): string {
  const time = `${seconds.toFixed(1)} s`
  if (phase === 'ended') return `The process has ended in the middle of its drain, after ${time}.`
  if (clients > 0) return `${clients} of ${clientsAtStart} clients are still there after ${time}.`
  return `Drained: ${clientsAtStart} clients have left in ${time}. The process can be ended.`
}
