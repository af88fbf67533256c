import { Command, InvalidArgumentError } from 'commander'
import { parseDuration } from '../../../devices-sim/index.js'
import { Demo, type DemoSummary } from '../demo.js'
import { aborted, shutdownSignal } from '../shutdown.js'
import { overrideOption } from './options.js'

interface Options {
  readonly for?: number
  readonly devices: number
  readonly seed: number
  readonly profile: string
  readonly set: readonly string[]
  readonly json: boolean
}

export function demoCommand(): Command {
  return new Command('demo')
    .description('gateway, bridges, a simulated fleet and the dashboard, all at once')
    .option('--for <duration>', 'stop after this time: 20s, 5m (default: run until Ctrl-C)', duration)
    .option('--devices <n>', 'simulated devices', wholeNumber, 24)
    .option('--seed <n>', 'the same seed gives the same readings', wholeNumber, 1)
    .option('--profile <name|file>', 'profile of the fleet', 'office')
    .addOption(overrideOption())
    .option('--json', 'last line of the output is one JSON object', false)
    .action(run)
}

async function run({ devices, seed, profile, set, json, for: duration }: Options): Promise<void> {
  const stop = shutdownSignal()
  const demo = await Demo.start({ devices, seed, profile, overrides: set, environment: process.env })
  process.stderr.write(`dashboard: ${demo.dashboardUrl}   (Ctrl-C ends the demo)\n`)
  const status = process.stderr.isTTY ? setInterval(() => showStatus(demo.summary()), 1_000) : undefined
  await (duration === undefined ? aborted(stop) : Promise.race([aborted(stop), elapsed(duration)]))
  clearInterval(status)
  if (status !== undefined) process.stderr.write('\n')
  const summary = await demo.stop()
  process.stdout.write(`${json ? JSON.stringify(summary) : summaryText(summary)}\n`)
  process.exitCode = summary.errors === 0 ? 0 : 1
}

function showStatus(summary: DemoSummary): void {
  process.stderr.write(`\r\x1b[2K${summaryText(summary)}`)
}

function summaryText({
  devicesConnected,
  published,
  feeds,
  feedMessages,
  errors,
  seconds,
}: DemoSummary): string {
  return (
    `${seconds} s: ${devicesConnected} devices, ${published} readings published, ` +
    `${feedMessages} points in ${feeds} feeds, ${errors} errors`
  )
}

function elapsed(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms)
  })
}

function duration(text: string): number {
  const ms = parseDuration(text)
  if (ms === undefined) throw new InvalidArgumentError('a duration such as 20s or 5m is wanted')
  return ms
}

function wholeNumber(text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 0) throw new InvalidArgumentError('a whole number is wanted')
  return value
}
