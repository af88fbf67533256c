import { build } from 'esbuild'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { Readable } from 'node:stream'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { systemClock } from '../../broker/contract/clock.js'
import { Message } from '../../broker/contract/message.js'
import { BridgePort } from '../../broker/engine/bridge-port.js'
import { createRouter } from '../../broker/router/router.js'
import { readBridges } from '../config.js'
import { RecordedEvents } from './testing.js'
import { WorkerHost } from './worker-host.js'

const PIPELINES = `
pipelines:
  - name: rooms
    source: { type: mqtt, topic: 'sensors/{room}', qos: 1 }
    window: { type: tumbling, sizes: [1m], by: [room], time: ts, maxAhead: 2m }
    sink: { type: mqtt, topic: 'feeds/{room}/{window}', retain: true }
`

/** The window of every reading is open for longer than any test takes. */
const ts = Math.ceil(Date.now() / 60_000) * 60_000

/** Workers run compiled code: this is the entry, made from the sources as they are now. */
let folder: string
let workerFile: URL

beforeAll(async () => {
  // Inside the project, so that packages are found.
  const cache = path.join(import.meta.dirname, '..', '..', 'node_modules', '.cache')
  await mkdir(cache, { recursive: true })
  folder = await mkdtemp(path.join(cache, 'worker-test-'))
  const outfile = path.join(folder, 'worker-main.mjs')
  await build({
    entryPoints: [path.join(import.meta.dirname, 'worker-main.ts')],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
  })
  workerFile = pathToFileURL(outfile)
})

afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
})

function setUp(file: URL = workerFile) {
  const router = createRouter()
  const published: Message[] = []
  const port = new BridgePort({
    router,
    engine: {
      publish: (message, _origin, done) => {
        published.push(message)
        done(undefined, 0)
      },
    },
    store: { retained: () => Readable.from([]) },
    events: { messageDropped: () => {} },
    clock: systemClock,
    defer: setImmediate,
  })
  const events = new RecordedEvents()
  const host = new WorkerHost({
    pipelines: readBridges(PIPELINES, { name: 'test', env: {} }),
    port,
    events,
    clock: systemClock,
    random: () => 0.5,
    graceMs: 5_000,
    workerFile: file,
  })
  return {
    router,
    port,
    published,
    events,
    host,
    send: (room: string, value: unknown): void => {
      const payload = Buffer.from(JSON.stringify({ ts, value }))
      const message = new Message({
        topic: `sensors/${room}`,
        payload,
        qos: 1,
        retain: false,
        receivedAt: Date.now(),
      })
      for (const { subscriber, delivery } of router.route(message).targets)
        subscriber.deliver(message, delivery, undefined)
    },
  }
}

describe('pipelines on a worker thread', () => {
  it('aggregate what crosses the port, report across it, and flush when they are stopped', async () => {
    const { host, send, published, events, router, port } = setUp()
    await host.start()
    expect(host.readiness()).toEqual({ ready: true })
    for (let i = 0; i < 1_000; i++) send(`r${i % 4}`, i)
    send('r0', 'no number')
    await host.stop()
    await host.stop()
    expect(published.map(({ topic }) => topic).sort()).toEqual([
      'feeds/r0/1m',
      'feeds/r1/1m',
      'feeds/r2/1m',
      'feeds/r3/1m',
    ])
    const figures = published.map(({ payload }) => JSON.parse(payload.toString()) as Record<string, number>)
    expect(figures.map(({ count }) => count)).toEqual([250, 250, 250, 250])
    expect(figures.reduce((sum, { avg, count }) => sum + avg! * count!, 0)).toBe(499_500)
    expect(events.totals).toMatchObject({ recordsIn: 1_001, recordsOut: 4, no_number: 1 })
    expect(events.log).toContain('rooms dropped 1 no_number sensors/r0')
    expect(events.log.at(-1)).toBe('rooms stopped')
    port.close()
    expect(router.subscriptionCount).toBe(0)
  })

  it('come back after their thread has died, with what was not settled', async () => {
    const crashing = path.join(folder, 'crashing.mjs')
    const poison = path.join(folder, 'poison')
    // Works like the real one, and dies of what the test puts into its way.
    await writeFile(
      crashing,
      `import { existsSync, rmSync } from 'node:fs'
       setInterval(() => {
         if (!existsSync(${JSON.stringify(poison)})) return
         rmSync(${JSON.stringify(poison)})
         throw new Error('a defect')
       }, 20).unref()
       await import(${JSON.stringify(workerFile.href)})`,
    )
    const { host, send, published, events, port } = setUp(pathToFileURL(crashing))
    await host.start()
    for (let i = 0; i < 10; i++) send('r', 1)
    await writeFile(poison, '')
    await vi.waitFor(() => {
      expect(events.log.filter((line) => line === 'rooms running')).toHaveLength(2)
    }, 20_000)
    expect(events.log).toContain('worker exited: a defect')
    send('r', 1)
    await host.stop()
    const counts = published.map(({ payload }) => (JSON.parse(payload.toString()) as { count: number }).count)
    expect(counts).toEqual([11])
    port.close()
  })

  it('are tried again when the thread cannot even start', async () => {
    const { host, events } = setUp(pathToFileURL(path.join(folder, 'missing.mjs')))
    await host.start()
    expect(host.readiness().ready).toBe(false)
    expect(events.log[0]).toMatch(/worker exited: .*missing\.mjs/)
    await host.stop()
  })
})
