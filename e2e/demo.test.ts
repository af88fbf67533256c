import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import mqtt from 'mqtt'
import { describe, expect, it } from 'vitest'
import type * as DemoModule from '../broker/app/demo.js'
import type { Reading } from '../devices-sim/index.js'
import { freePort } from '../broker/contract/free-port.js'
import { OpenClaw } from './harness/openclaw.js'

/** From dist/, because its pipelines run on a thread of their own. */
async function builtDemo(): Promise<typeof DemoModule> {
  const file = path.join(import.meta.dirname, '..', 'dist', 'broker', 'app', 'demo.js')
  return (await import(pathToFileURL(file).href)) as typeof DemoModule
}

async function freePorts(): Promise<{ readonly web: number; readonly overrides: readonly string[] }> {
  const [web, tcp, admin] = await Promise.all([freePort(), freePort(), freePort()])
  return {
    web,
    overrides: [`listeners[0].port=${web}`, `listeners[1].port=${tcp}`, `admin.port=${admin}`],
  }
}

/** Long enough for a window of five seconds to begin and end. */
const RUN_S = 12

it('openclaw demo runs everything, and sums up in its last line', async () => {
  const { overrides } = await freePorts()
  const args = [
    'demo',
    '--for',
    `${RUN_S}s`,
    '--json',
    ...overrides.flatMap((override) => ['--set', override]),
  ]
  const { code, stdout, stderr } = await OpenClaw.run(args)
  expect({ code, stderr }).toMatchObject({ code: 0 })
  expect(stderr).toMatch(/dashboard: http:\/\/127\.0\.0\.1:\d+\//)
  const summary = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Record<string, number>
  expect(summary).toMatchObject({ devicesConnected: 24, errors: 0 })
  const { published = 0, received = 0, feeds = 0, feedMessages = 0 } = summary
  // Whoever watches sees all that is published.
  expect(received).toBe(published)
  expect(published).toBeGreaterThan(24 * 2)
  // Six rooms, two or three metrics each, in windows of five seconds and of one minute.
  expect(feeds).toBeGreaterThanOrEqual(2 * 6)
  expect(feedMessages).toBeGreaterThan(feeds)
}, 60_000)

interface Figures {
  readonly count: number
  readonly min: number
  readonly max: number
  readonly avg: number
  readonly last: number
}

const WINDOWS = [
  { name: '5s', ms: 5_000 },
  { name: '1m', ms: 60_000 },
]

describe('the feeds of a seeded demo', () => {
  it('are what its devices’ readings say', async () => {
    const { Demo } = await builtDemo()
    const { web, overrides } = await freePorts()
    const readings: Reading[] = []
    const demo = await Demo.start({
      devices: 24,
      seed: 20_261_121,
      profile: 'office',
      overrides: [...overrides, 'log.level=error'],
      environment: {},
      onReading: (reading) => readings.push(reading),
    })
    const feeds = new Map<string, Figures>()
    const client = await mqtt.connectAsync(`ws://127.0.0.1:${web}/mqtt`, {
      protocolVersion: 5,
      reconnectPeriod: 0,
    })
    client.on('message', (topic, payload) => {
      if (topic.endsWith('/history')) return
      const figures = JSON.parse(payload.toString()) as Figures & { readonly start: number }
      const key = `${topic} ${figures.start}`
      expect(feeds.has(key), `${key} came twice`).toBe(false)
      feeds.set(key, figures)
    })
    await client.subscribeAsync('feeds/#', { qos: 1 })
    const closed = new Promise<void>((resolve) => client.once('close', () => resolve()))
    await sleep(RUN_S * 1000)
    const { errors, published } = await demo.stop()
    await closed
    await client.endAsync(true)

    expect(errors).toBe(0)
    expect(readings).toHaveLength(published)
    const expected = recompute(readings)
    expect([...feeds.keys()].sort()).toEqual([...expected.keys()].sort())
    for (const [key, { values, lasts }] of expected) {
      const { count, min, max, avg, last } = feeds.get(key) as Figures
      expect({ count, min, max }, key).toEqual({
        count: values.length,
        min: Math.min(...values),
        max: Math.max(...values),
      })
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length
      expect(Math.abs(avg - mean), key).toBeLessThan(1e-9)
      expect(lasts, key).toContain(last)
    }
  }, 60_000)
})

interface Expected {
  readonly values: number[]
  lastTs: number
  /** Readings of the latest time: of two devices in one millisecond either may be the last. */
  lasts: number[]
}

function recompute(readings: readonly Reading[]): ReadonlyMap<string, Expected> {
  const panes = new Map<string, Expected>()
  for (const { site, room, metric, ts, value } of readings) {
    for (const { name, ms } of WINDOWS) {
      const key = `feeds/${site}/${room}/${metric}/${name} ${Math.floor(ts / ms) * ms}`
      let pane = panes.get(key)
      if (pane === undefined) panes.set(key, (pane = { values: [], lastTs: -Infinity, lasts: [] }))
      pane.values.push(value)
      if (ts > pane.lastTs) {
        pane.lastTs = ts
        pane.lasts = []
      }
      if (ts === pane.lastTs) pane.lasts.push(value)
    }
  }
  return panes
}
