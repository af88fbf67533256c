import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import type { LoadReport } from '../load-tests/report/report.js'
import { OpenClaw } from './harness/openclaw.js'
import { describeWith } from './harness/programs.js'

/** `openclaw load` against the gateway that it starts: small, and without a look at how fast anything is. */

const folder = mkdtempSync(path.join(tmpdir(), 'openclaw-e2e-load-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const SHORT = ['--rounds', '1', '--duration', '300ms', '--warmup', '100ms']

async function load(...args: string[]): Promise<LoadReport> {
  const outcome = await OpenClaw.run(['load', ...args, '--json'])
  expect(outcome.code, outcome.stderr).toBe(0)
  return JSON.parse(outcome.stdout) as LoadReport
}

function only(report: LoadReport) {
  expect(report.rows).toHaveLength(1)
  expect(report.rows[0]!.runs).toHaveLength(1)
  return report.rows[0]!.runs[0]!
}

const SMALL = ['--publishers', '4', '--receivers', '4']

describe('openclaw load', () => {
  it.each([
    ['fanout', ['--receivers', '5', '--qos', '0']],
    ['fanout', ['--receivers', '5', '--qos', '1', '--mqtt', '5', '--transport', 'tcp']],
    ['fanin', ['--publishers', '5', '--qos', '1']],
    ['fanin', ['--publishers', '5', '--qos', '0', '--mqtt', '5', '--rate', '500', '--workers', '2']],
    ['pairs', [...SMALL, '--qos', '2', '--mqtt', '5']],
    ['pairs', [...SMALL, '--qos', '2', '--store', 'memory', '--workers', '2']],
    ['pairs', [...SMALL, '--qos', '1', '--sessions', 'persistent', '--rate', '50%']],
    ['soak', [...SMALL, '--rate', '200', '--sample', '100ms']],
    ['slow', ['--receivers', '5', '--readers', '2', '--rate', '200']],
  ])('brings every message of %s %j once and in order', async (scenario, args) => {
    const { metrics } = only(await load(scenario, ...SHORT, ...args))
    expect(metrics.deliveriesPerSecond).toBeGreaterThan(0)
    expect(metrics).toMatchObject({
      lost: 0,
      duplicates: 0,
      reordered: 0,
      refused: 0,
      stalls: 0,
      connectionsLost: 0,
    })
  })

  it('queues for sessions that are away', async () => {
    const { metrics } = only(await load('pairs', ...SHORT, ...SMALL, '--qos', '1', '--sessions', 'offline'))
    expect(metrics.deliveriesPerSecond).toBeGreaterThan(0)
  })

  it('drains the queues of sessions that come back', async () => {
    const { metrics } = only(await load('resume', ...SHORT, '--receivers', '3', '--messages', '150'))
    expect(metrics).toMatchObject({ lost: 0, duplicates: 0 })
  })

  it('reads retained messages by a wildcard', async () => {
    const { metrics } = only(await load('retained', ...SHORT, '--messages', '250', '--readers', '2'))
    expect(metrics).toMatchObject({ lost: 0, duplicates: 0 })
  })

  it('measures idle connections, and a storm of them over a restart', async () => {
    const idle = only(await load('idle', ...SHORT, '--connections', '20'))
    expect(idle.metrics.connectFailures).toBe(0)
    const storm = only(await load('storm', ...SHORT, '--connections', '20', '--workers', '2'))
    expect(storm.metrics.connectFailures).toBe(0)
    expect(storm.metrics.returnSeconds).toBeGreaterThan(0)
  })

  it('compares in turns with the stock stack, writes a page, and profiles', async () => {
    const page = path.join(folder, 'report.html')
    const profiles = path.join(folder, 'profiles')
    const args = ['--peer', 'stock', '--rounds', '2', '--html', page, '--cpu-prof', profiles]
    const report = await load('pairs', ...SHORT, ...SMALL, ...args)
    expect(report.rows[0]!.runs.map(({ broker }) => broker)).toEqual(['gateway', 'stock', 'gateway', 'stock'])
    expect(readFileSync(page, 'utf8')).toContain('</html>')
    expect(readdirSync(profiles).length).toBeGreaterThanOrEqual(2)
  })

  it('fails by threshold, and explains wrong usage and a target that is away', async () => {
    const run = (...args: string[]) => OpenClaw.run(['load', ...args])
    const threshold = await run('pairs', ...SHORT, ...SMALL, '--fail-above', 'deliveriesPerSecond=1')
    expect(threshold).toMatchObject({ code: 1, stderr: expect.stringContaining('above') as string })
    const usage = await run('pairs', '--qos', '7')
    expect(usage).toMatchObject({ code: 2, stderr: expect.stringContaining('--qos: found "7"') as string })
    const away = await run('pairs', ...SHORT, ...SMALL, '--target', 'ws://127.0.0.1:9/mqtt')
    expect(away).toMatchObject({ code: 1, stderr: expect.stringContaining('BROKER_UNREACHABLE') as string })
  })
})

describeWith('openclaw load over TLS', ['openssl'], () => {
  it('makes a certificate for the brokers that it starts', async () => {
    const report = await load('pairs', ...SHORT, ...SMALL, '--transport', 'wss')
    expect(only(report).metrics).toMatchObject({ lost: 0, connectionsLost: 0 })
  })
})

describeWith('openclaw load against Mosquitto', ['mosquitto'], () => {
  it('gives both the same work in turns', async () => {
    const report = await load('fanout', ...SHORT, '--receivers', '5', '--peer', 'mosquitto', '--qos', '1')
    expect(report.rows[0]!.brokers).toEqual(['gateway', 'mosquitto'])
    for (const { metrics } of report.rows[0]!.runs) expect(metrics).toMatchObject({ lost: 0, duplicates: 0 })
  })
})

describeWith('openclaw load over two nodes', ['redis-server'], () => {
  it.each([
    ['fanout', ['--receivers', '5', '--qos', '0']],
    ['fanin', ['--publishers', '5', '--qos', '1']],
    ['pairs', [...SMALL, '--qos', '2', '--nodes', '3']],
    ['pairs', [...SMALL, '--qos', '1', '--sessions', 'persistent']],
  ])('brings every message of %s %j across, once and in order', async (scenario, args) => {
    const { metrics } = only(await load(scenario, ...SHORT, ...withNodes(args)))
    expect(metrics.deliveriesPerSecond).toBeGreaterThan(0)
    expect(metrics.redisCpu).toBeGreaterThanOrEqual(0)
    expect(metrics).toMatchObject({ lost: 0, duplicates: 0, reordered: 0, connectionsLost: 0 })
  })

  it('gives the stock stack on Redis the same work', async () => {
    const report = await load(
      'pairs',
      ...SHORT,
      ...SMALL,
      ...withNodes(['--peer', 'stock-redis', '--qos', '1']),
    )
    expect(report.rows[0]!.brokers).toEqual(['gateway-redis', 'stock-redis'])
    for (const { metrics } of report.rows[0]!.runs) expect(metrics.deliveriesPerSecond).toBeGreaterThan(0)
  })

  it('measures what a subscription takes on each node and in Redis', async () => {
    const args = ['--connections', '10', '--filters', '5', '--sessions', 'persistent']
    const { metrics } = only(await load('subscriptions', ...SHORT, ...withNodes(args)))
    expect(metrics.connectFailures).toBe(0)
    expect(metrics.bytesPerSubscriptionElsewhere).toBeTypeOf('number')
  })
})

function withNodes(args: readonly string[]): string[] {
  return args.includes('--nodes') ? [...args] : [...args, '--nodes', '2']
}
