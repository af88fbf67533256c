import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Reading } from './device.js'
import { startFleet, type Fleet, type FleetOptions } from './fleet.js'
import { parseProfile } from './profile/load.js'
import type { Profile } from './profile/schema.js'
import { TestBroker } from './testing/broker.js'

const base = parseProfile(
  `
intervalSeconds: 0.05
timeScale: 480
connection: { rate: 2000, backoffMinSeconds: 0.05, backoffMaxSeconds: 0.2 }
sites: [{ name: site, rooms: [{ name: a }, { name: b }] }]
devices:
  - { name: climate, metrics: { temperature: { model: temperature }, humidity: { model: humidity } } }
  - { name: meter, metrics: { power: { model: power } } }
`,
  { name: undefined, environment: {} },
)

let broker: TestBroker
let fleet: Fleet | undefined

beforeEach(async () => {
  broker = new TestBroker()
  await broker.start()
})

afterEach(async () => {
  await fleet?.stop()
  fleet = undefined
  await broker.stop()
})

async function start(options: Partial<FleetOptions> = {}, profile: Partial<Profile> = {}): Promise<Fleet> {
  fleet = await startFleet({
    profile: { ...base, ...profile },
    devices: 12,
    seed: 1,
    broker: { url: broker.url, ca: undefined },
    ...options,
  })
  return fleet
}

function sensorMessages(): readonly { topic: string; payload: Buffer }[] {
  return broker.arrived.filter(({ topic }) => topic.startsWith('sensors/'))
}

describe('a fleet', () => {
  it.each([0, 1] as const)('connects, publishes and leaves cleanly, QoS %d', async (qos) => {
    const readings: Reading[] = []
    const running = await start({ onReading: (reading) => readings.push(reading) }, { qos })
    await broker.until(() => broker.online === 12 && sensorMessages().length >= 100)
    expect(running.stats().devicesConnected).toBe(12)

    const stats = await running.stop()
    await broker.until(() => broker.connected.size === 0)
    expect(broker.departed.size).toBe(12)
    expect([...broker.retained.values()]).toEqual(new Array(12).fill('offline'))
    // `missed` is up to the machine: a device that finds its socket still full leaves a reading out.
    expect(stats).toMatchObject({
      devicesConnected: 12,
      publishErrors: 0,
      reconnects: 0,
      connectFailures: 0,
    })

    // What the observer was told is what arrived, to the byte.
    const told = readings.map(({ topic, ts, value }) => `${topic} ${JSON.stringify({ ts, value })}`)
    const arrived = sensorMessages().map(({ topic, payload }) => `${topic} ${payload.toString()}`)
    expect(told.sort()).toEqual(arrived.sort())
    expect(stats.published).toBe(arrived.length)
    expect(stats.bytes).toBe(sensorMessages().reduce((sum, { payload }) => sum + payload.length, 0))
  })

  it('comes back whole after the broker was away, and sends again what was not acknowledged', async () => {
    const readings: Reading[] = []
    const running = await start({ onReading: (reading) => readings.push(reading) })
    for (let round = 1; round <= 2; round++) {
      await broker.until(() => broker.online === 12 && sensorMessages().length > 50 * round)
      await broker.stop()
      await broker.until(() => broker.connected.size === 0)
      expect([...broker.retained.values()]).toEqual(new Array(12).fill('offline'))
      await broker.start()
      await broker.until(() => broker.online === 12)
    }
    const stats = await running.stop()
    expect(stats).toMatchObject({ devicesConnected: 12, reconnects: 24, publishErrors: 0 })

    const arrived = new Set(sensorMessages().map(({ topic, payload }) => `${topic} ${payload.toString()}`))
    const told = readings.map(({ topic, ts, value }) => `${topic} ${JSON.stringify({ ts, value })}`)
    expect(new Set(told)).toEqual(arrived)
  })

  it('reads the same for one seed, whatever the timing', async () => {
    async function run(seed: number): Promise<Map<string, number>> {
      const values = new Map<string, number>()
      const before = sensorMessages().length
      const running = await start({
        seed,
        onReading: ({ topic, index, value }) => values.set(`${topic} ${index}`, value),
      })
      await broker.until(() => sensorMessages().length > before + 200)
      await running.stop()
      return values
    }
    const [first, second, other] = [await run(5), await run(5), await run(6)]
    const common = [...first.keys()].filter((key) => second.has(key) && other.has(key))
    expect(common.length).toBeGreaterThan(100)
    for (const key of common) expect(second.get(key)).toBe(first.get(key))
    expect(common.some((key) => other.get(key) !== first.get(key))).toBe(true)
  })

  it('skips readings instead of piling them up while nothing is acknowledged', async () => {
    broker.acknowledges = false
    const running = await start({ devices: 1, drainMs: 50 }, { intervalSeconds: 0.01 })
    await broker.until(() => sensorMessages().length === 32)
    const stats = await running.stop()
    expect(sensorMessages()).toHaveLength(32)
    expect(stats).toMatchObject({ published: 0, publishErrors: 32 })
  })

  it('keeps flapping devices coming back, and counts what the faults did', async () => {
    const faults = parseProfile(
      `
sites: [{ name: s, rooms: [{ name: r }] }]
devices: [{ name: d, metrics: { t: { model: temperature } } }]
faults: { flapping: { devices: 1, probability: 0.2 }, malformed: { probability: 0.3 } }
`,
      { name: undefined, environment: {} },
    ).faults
    const readings: Reading[] = []
    const running = await start({ onReading: (reading) => readings.push(reading) }, { faults })
    await broker.until(() => broker.connects > 40 && sensorMessages().length > 100)
    const stats = await running.stop()
    expect(stats.reconnects).toBeGreaterThan(20)
    expect(stats.faults.flapping).toBeGreaterThanOrEqual(stats.reconnects)
    expect(stats.faults.malformed).toBeGreaterThan(10)
    expect(readings.length).toBeLessThan(stats.published)
  })

  it('notices that another client has its name', async () => {
    const running = await start({ devices: 1 })
    await broker.until(() => broker.online === 1)
    broker.takeOver('climate-0001')
    await broker.until(() => broker.connects === 2)
    expect((await running.stop()).takenOver).toBe(1)
  })

  it('opens connections one after another', async () => {
    const running = await start({ devices: 5 }, { connection: { ...base.connection, rate: 0.1 } })
    expect(running.stats().devicesConnected).toBe(1)
    await running.stop()
    expect(broker.connects).toBe(1)
  })

  it('speaks MQTT 3.1.1 when told to', async () => {
    const running = await start({ protocolVersion: 4, username: 'u', password: 'p' })
    await broker.until(() => sensorMessages().length > 12)
    expect((await running.stop()).publishErrors).toBe(0)
  })
})

describe('a fleet without a broker', () => {
  it('gives up after some tries, says where and what to do, and leaves nothing running', async () => {
    await broker.stop()
    await expect(start({ firstTries: 3 })).rejects.toMatchObject({
      code: 'BROKER_UNREACHABLE',
      message: `${broker.url.href} could not be reached: nothing listens there`,
      hint: expect.stringContaining(broker.url.host) as string,
    })
  })

  it('says that the path is wrong', async () => {
    const url = new URL('/elsewhere', broker.url)
    await expect(start({ firstTries: 1, broker: { url, ca: undefined } })).rejects.toMatchObject({
      code: 'BROKER_UNREACHABLE',
      hint: expect.stringContaining('/elsewhere') as string,
    })
  })

  it('does not try again when it is refused', async () => {
    broker.connackCode = 0x86
    await expect(start()).rejects.toMatchObject({ code: 'BROKER_REFUSED' })
    expect(broker.connects).toBe(1)
  })

  it('stops waiting when told to', async () => {
    broker.connackCode = 0x88
    const abort = new AbortController()
    const starting = start({ firstTries: 1_000, signal: abort.signal })
    await broker.until(() => broker.connects >= 3)
    abort.abort()
    expect((await (await starting).stop()).devicesConnected).toBe(0)
  })
})
