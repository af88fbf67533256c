import mqtt, { type MqttClient } from 'mqtt'
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import net, { type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { readBridges } from '../bridges/config.js'
import { runBridges, type RunningBridges } from '../bridges/run.js'
import { RecordedEvents } from '../bridges/runtime/testing.js'
import { systemClock } from '../broker/contract/clock.js'
import { freePort } from '../broker/contract/free-port.js'
import { describeWith } from './harness/programs.js'

/** Of every reading: the window that it belongs to stays open for as long as any test takes. */
const READ_AT = Math.ceil(Date.now() / 3_600_000) * 3_600_000

function pipelinesOf(settings: string) {
  return readBridges(
    `pipelines:
  - name: rooms
    source: { type: mqtt, topic: 'sensors/{room}/{device}', qos: 1, maxUnsettled: 1000 }
    window: { type: tumbling, sizes: [1h], by: [room], time: ts, maxAhead: 2h }
    sink: { type: mqtt, topic: 'feeds/{room}/{window}', retain: true }
${settings}`,
    { name: 'test', env: {} },
  )
}

/**
 * Stands between bridges and broker: cuts connections, and can be of a kind that refuses MQTT 5.
 */
class Proxy {
  readonly versions: number[] = []
  private readonly sockets = new Set<net.Socket>()
  private readonly server: net.Server

  constructor(
    private readonly brokerPort: number,
    private readonly refusesMqtt5: boolean,
  ) {
    this.server = net.createServer((socket) => {
      this.accept(socket)
    })
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve))
    return `mqtt://127.0.0.1:${(this.server.address() as AddressInfo).port}`
  }

  cut(): void {
    for (const socket of this.sockets) socket.destroy()
  }

  async close(): Promise<void> {
    this.cut()
    await new Promise((resolve) => this.server.close(resolve))
  }

  private accept(socket: net.Socket): void {
    this.sockets.add(socket)
    socket.on('error', () => {})
    socket.once('data', (connect) => {
      // Behind the fixed header (two bytes, as these CONNECTs are short) and the name `MQTT`: the protocol level.
      const version = connect[8] ?? 0
      this.versions.push(version)
      if (version === 5 && this.refusesMqtt5) {
        socket.end(Buffer.from([0x20, 2, 0, 1]))
        return
      }
      const broker = net.connect(this.brokerPort, '127.0.0.1')
      this.sockets.add(broker)
      broker.on('error', () => {})
      broker.on('close', () => socket.destroy())
      socket.on('close', () => {
        broker.destroy()
        this.sockets.delete(broker)
        this.sockets.delete(socket)
      })
      broker.write(connect)
      socket.pipe(broker).pipe(socket)
    })
  }
}

let mosquitto: string
let folder: string
let broker: ChildProcess
let port: number
let client: MqttClient
let running: RunningBridges | undefined
let events: RecordedEvents

async function startMosquitto(): Promise<void> {
  const file = path.join(folder, 'mosquitto.conf')
  await writeFile(file, `listener ${port} 127.0.0.1\nallow_anonymous true\nmax_inflight_messages 1000\n`)
  broker = spawn(mosquitto, ['-c', file], { stdio: 'ignore' })
  await vi.waitFor(
    () =>
      new Promise<void>((resolve, reject) => {
        const socket = net.connect(port, '127.0.0.1', () => {
          socket.destroy()
          resolve()
        })
        socket.on('error', reject)
      }),
    10_000,
  )
}

async function start(url: string, settings = '', graceMs = 5_000): Promise<RunningBridges> {
  events = new RecordedEvents()
  running = await runBridges({
    pipelines: pipelinesOf(settings),
    broker: { url, username: undefined, password: undefined, clientId: undefined },
    clock: systemClock,
    random: () => 0.5,
    events,
    graceMs,
  })
  return running
}

async function send(count: number): Promise<void> {
  await Promise.all(
    Array.from({ length: count }, (_, index) =>
      client.publishAsync(`sensors/r/d${index % 3}`, JSON.stringify({ ts: READ_AT, value: index }), {
        qos: 1,
      }),
    ),
  )
}

async function feed(): Promise<{ count: number; partial?: boolean } | undefined> {
  const reader = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`)
  const first = new Promise<Buffer>((resolve) => reader.on('message', (_topic, payload) => resolve(payload)))
  await reader.subscribeAsync('feeds/r/1h')
  // The answer to another SUBSCRIBE comes behind the retained message, if there is one.
  const none = reader.subscribeAsync('nothing').then(() => undefined)
  const payload = await Promise.race([first, none])
  await reader.endAsync()
  return payload === undefined ? undefined : (JSON.parse(payload.toString()) as { count: number })
}

describeWith('openclaw bridges beside another broker', ['mosquitto'], (programs) => {
  mosquitto = programs.mosquitto

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'bridges-alone-'))
    port = await freePort()
    await startMosquitto()
    client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`)
  })

  afterEach(async () => {
    await running?.stop()
    running = undefined
    await client.endAsync(true)
    const gone = new Promise((resolve) => broker.once('exit', resolve))
    if (broker.kill()) await gone
    await rm(folder, { recursive: true })
  })

  it('aggregates, publishes, and sums up', async () => {
    const bridges = await start(`mqtt://127.0.0.1:${port}`)
    await send(300)
    await client.publishAsync('sensors/r/d1', 'not json', { qos: 1 })
    await vi.waitFor(() => {
      expect(events.totals['recordsIn']).toBe(301)
    }, 5_000)
    const summary = await bridges.stop()
    expect(summary.pipelines['rooms']).toMatchObject({
      recordsIn: 301,
      recordsOut: 1,
      dropped: { undecodable: 1 },
    })
    expect(await feed()).toMatchObject({ count: 300, min: 0, max: 299, avg: 149.5, partial: true })
  })

  it('counts no reading twice when the connection breaks before they are settled', async () => {
    const proxy = new Proxy(port, false)
    const bridges = await start(await proxy.listen())
    await send(200)
    await vi.waitFor(() => {
      expect(events.totals['recordsIn']).toBe(200)
    }, 5_000)
    proxy.cut()
    await send(50)
    await vi.waitFor(() => {
      expect(events.totals['recordsIn']).toBe(250)
    }, 10_000)
    await bridges.stop()
    expect(await feed()).toMatchObject({ count: 250 })
    await proxy.close()
  })

  it('gets what was not settled again after a restart, and makes a whole result of it', async () => {
    const url = `mqtt://127.0.0.1:${port}`
    const first = await start(url, '    onStop: discard')
    await send(100)
    await vi.waitFor(() => {
      expect(events.totals['recordsIn']).toBe(100)
    }, 5_000)
    await first.stop()
    expect(await feed()).toBeUndefined()
    await send(20)
    const second = await start(url)
    await vi.waitFor(() => {
      expect(events.totals['recordsIn']).toBe(120)
    }, 5_000)
    await second.stop()
    expect(await feed()).toMatchObject({ count: 120 })
    // Settled by now: nothing comes a third time.
    const third = await start(url)
    await send(1)
    await vi.waitFor(() => {
      expect(events.totals['recordsIn']).toBe(1)
    }, 5_000)
    await third.stop()
  })

  it('speaks MQTT 3.1.1 to a broker that knows no other', async () => {
    const proxy = new Proxy(port, true)
    const bridges = await start(await proxy.listen())
    await vi.waitFor(() => {
      expect(events.log).toContain('rooms running')
    }, 10_000)
    await send(30)
    await vi.waitFor(() => {
      expect(events.totals['recordsIn']).toBe(30)
    }, 5_000)
    await bridges.stop()
    expect(await feed()).toMatchObject({ count: 30 })
    expect(new Set(proxy.versions)).toEqual(new Set([5, 4]))
    await proxy.close()
  })

  it('waits for a broker that is not there yet', async () => {
    const gone = new Promise((resolve) => broker.once('exit', resolve))
    broker.kill()
    await gone
    const bridges = await start(`mqtt://127.0.0.1:${port}`)
    expect(events.log.at(-1)).toBe('rooms retrying')
    await startMosquitto()
    await vi.waitFor(() => {
      expect(events.log.at(-1)).toBe('rooms running')
    }, 20_000)
    await vi.waitFor(() => {
      expect(client.connected).toBe(true)
    }, 10_000)
    await send(10)
    await vi.waitFor(() => {
      expect(events.totals['recordsIn']).toBe(10)
    }, 5_000)
    await bridges.stop()
    expect(await feed()).toMatchObject({ count: 10 })
  })

  it('stops at once while its broker is away', async () => {
    const proxy = new Proxy(await freePort(), false)
    const bridges = await start(await proxy.listen(), '', 60_000)
    await bridges.stop()
    expect(events.log.at(-1)).toBe('rooms stopped')
    await proxy.close()
  })
})
