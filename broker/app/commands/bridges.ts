import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import { destination } from 'pino'
import { loadBridges } from '../../../bridges/config.js'
import { runBridges } from '../../../bridges/run.js'
import { systemClock } from '../../contract/clock.js'
import { Telemetry } from '../../telemetry/telemetry.js'
import { aborted, shutdownSignal } from '../shutdown.js'

/** Time for pipelines to flush their windows when they are stopped, milliseconds. */
const GRACE_MS = 10_000

interface Options {
  readonly broker: string
  readonly config: string
  readonly username?: string
  readonly passwordFile?: string
  readonly clientId?: string
  readonly json: boolean
}

export function bridgesCommand(): Command {
  return new Command('bridges')
    .description('run the pipelines alone, beside any MQTT broker')
    .requiredOption('--broker <url>', 'mqtt://, mqtts://, ws:// or wss://')
    .option('--config <file>', 'bridges file', 'config/bridges.yaml')
    .option('--username <name>', 'MQTT user name')
    .option('--password-file <file>', 'file with the MQTT password')
    .option('--client-id <text>', 'begin of the client identifiers (default: made from the pipelines’ names)')
    .option('--json', 'last line of the output is one JSON object', false)
    .action(run)
}

async function run({ broker: url, config: file, json, ...options }: Options): Promise<void> {
  const stop = shutdownSignal()
  const pipelines = loadBridges({ file, env: process.env })
  const password =
    options.passwordFile === undefined ? undefined : readFileSync(options.passwordFile, 'utf8').trim()
  const telemetry = new Telemetry({
    config: { log: { level: 'info', format: process.stderr.isTTY ? 'pretty' : 'json' } },
    node: undefined,
    listeners: [],
    authenticators: [],
    clock: systemClock,
    // Standard output is for the summary.
    destination: destination(2),
  })
  const bridges = await runBridges({
    pipelines,
    broker: { url, username: options.username, password, clientId: options.clientId },
    clock: systemClock,
    random: Math.random,
    events: telemetry.bridges,
    graceMs: GRACE_MS,
  })
  // A broker that is away leaves nothing behind that would keep the process running.
  const hold = setInterval(() => {}, 2 ** 30)
  await aborted(stop)
  clearInterval(hold)
  const summary = await bridges.stop()
  if (json) process.stdout.write(`${JSON.stringify(summary)}\n`)
  await telemetry.stop()
}
