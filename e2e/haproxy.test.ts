import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import path from 'node:path'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { WebSocket, createWebSocketStream } from 'ws'
import { startRedis, until, type RedisServer } from '../broker/store/redis/testing.js'
import { loadConfig } from '../config/load.js'
import { HAPROXY_CONFIG, HAProxy } from './harness/haproxy.js'
import { GatewayProcess } from './harness/process.js'
import { describeWith } from './harness/programs.js'
import { RawClient, type ConnectOptions, type Packet } from './harness/raw-client.js'

const GATEWAY_CONFIG = path.join(import.meta.dirname, '..', 'config', 'compose', 'gateway.yaml')
const lasting = { clean: false, properties: { sessionExpiryInterval: 600 } }

/** The compose project without its containers: two gateways on one Redis, HAProxy in front, with the files that it mounts. */
describeWith('HAProxy in front of two gateways', ['haproxy', 'redis-server'], (programs) => {
  let redis: RedisServer
  let gateways: [GatewayProcess, GatewayProcess]
  let proxy: HAProxy
  const clients: RawClient[] = []

  beforeAll(async () => {
    redis = await startRedis()
    gateways = await Promise.all([startGateway('gateway-1', redis), startGateway('gateway-2', redis)])
    proxy = await HAProxy.start(programs.haproxy, [gateways[0].ports, gateways[1].ports])
    await until(async () => (await proxy.inRotation()) === 2)
  })

  afterEach(async () => {
    for (const client of clients.splice(0)) await client.abort()
    await until(async () => (await proxy.connections()) === 0)
  })

  afterAll(async () => {
    await proxy.stop()
    await Promise.all(gateways.map((gateway) => gateway.dispose()))
    await redis.stop()
  })

  /** Through the proxy, over TCP, from an address of its own. */
  async function connect(options: ConnectOptions, from = '127.0.0.1'): Promise<RawClient> {
    const socket = connectTcp({ port: proxy.ports.mqtt, host: '127.0.0.1', localAddress: from })
    await once(socket, 'connect')
    const client = new RawClient(socket)
    clients.push(client)
    return client.connect(options)
  }

  async function connectWebSocket(clientId: string, from: string): Promise<RawClient> {
    const url = `ws://127.0.0.1:${proxy.ports.web}/mqtt`
    const socket = new WebSocket(url, ['mqtt'], { localAddress: from, perMessageDeflate: false })
    await once(socket, 'open')
    const client = new RawClient(createWebSocketStream(socket))
    clients.push(client)
    return client.connect({ clientId })
  }

  /** One after the other: the threads of HAProxy do not see at once what the others have just given away. */
  async function connectMany(
    count: number,
    name: string,
    options: ConnectOptions = {},
  ): Promise<RawClient[]> {
    const all: RawClient[] = []
    for (let i = 0; i < count; i++) all.push(await connect({ ...options, clientId: `${name}${i}` }))
    return all
  }

  const counts = () => Promise.all(gateways.map(clientsOf))

  it('has a configuration that HAProxy takes', () => {
    expect(spawnSync(programs.haproxy, ['-c', '-f', HAPROXY_CONFIG]).status).toBe(0)
  })

  it('lets the address of the client through, by TCP and by WebSocket', async () => {
    await connect({ clientId: 'tcp' }, '127.0.0.77')
    await connectWebSocket('web', '127.0.0.78')
    const output = gateways.map((gateway) => gateway.output).join('\n')
    expect(output).toMatch(/"remote":"127\.0\.0\.77:\d+"/)
    expect(output).toMatch(/"remote":"127\.0\.0\.78:\d+"/)
    // Whoever goes around it is refused: nobody may say who he is.
    await expect(RawClient.connect(gateways[0].ports.mqtt, { clientId: 'around' })).rejects.toThrow()
  })

  it('serves the dashboard', async () => {
    const response = await fetch(`http://127.0.0.1:${proxy.ports.web}/`, {
      headers: { connection: 'close' },
    })
    expect([response.status, response.headers.get('content-type')]).toEqual([
      200,
      expect.stringContaining('html'),
    ])
  })

  it('shares out connections, and messages reach everybody', async () => {
    const all = await connectMany(10, 'c')
    expect(await counts()).toEqual([5, 5])
    for (const client of all) await client.subscribe('t', 1)
    await all[0]?.publishAcknowledged('t', 'all', { qos: 1 })
    for (const client of all) expect((await client.nextPublish()).payload.toString()).toBe('all')
  })

  it('takes a gateway out that is being drained: nobody elsewhere notices, nothing acknowledged is lost', async () => {
    const all = await connectMany(8, 'd', lasting)
    expect(await counts()).toEqual([4, 4])
    for (const client of all) await client.subscribe('load', 1)
    const [staying, leaving] = await sides(all)

    // Publishes all the time, over whatever connection there is.
    let acknowledged = 0
    const ending = new AbortController()
    const publisher = (async () => {
      let client = await connect({ clientId: 'publisher', ...lasting })
      while (!ending.signal.aborted) {
        try {
          await client.publishAcknowledged('load', String(acknowledged), { qos: 1 })
          acknowledged++
        } catch {
          client = await connect({ clientId: 'publisher', ...lasting })
        }
      }
    })()
    const told = Promise.all(leaving.map((client) => client.disconnectedByPeer()))
    const draining = gateways[0].stop()
    await until(async () => (await proxy.inRotation()) === 1)
    // Turned away from before anybody is asked to leave.
    expect(leaving.every(({ open }) => open)).toBe(true)
    expect(await told).toEqual(leaving.map(() => 0x9c))
    const back = await Promise.all(
      all.flatMap((client, i) =>
        leaving.includes(client) ? [connect({ clientId: `d${i}`, ...lasting })] : [],
      ),
    )
    expect(back.map(({ connack }) => connack.sessionPresent)).toEqual(leaving.map(() => true))
    expect((await draining).code).toBe(0)
    ending.abort()
    await publisher
    expect(acknowledged).toBeGreaterThan(10)
    for (const client of staying) {
      expect(client.open).toBe(true)
      await receiveAll(client, acknowledged)
    }
    for (const [i, client] of back.entries())
      await receiveAll(client, acknowledged, await leaving[i]?.remainder())

    await gateways[0].start()
    await until(async () => (await proxy.inRotation()) === 2)
  })

  /** Those that the second gateway has, and those that the first one has. */
  async function sides(all: readonly RawClient[]): Promise<[RawClient[], RawClient[]]> {
    const ports = all.map((client) => (client.socket as { localPort?: number }).localPort)
    await until(() => gateways.every((gateway) => gateway.output.includes('connection_opened')))
    const onFirst = (port: number | undefined) => gateways[0].output.includes(`"remote":"127.0.0.1:${port}"`)
    const leaving = all.filter((_client, i) => onFirst(ports[i]))
    return [all.filter((client) => !leaving.includes(client)), leaving]
  }
})

/** Every number up to `count` has come, be it twice: before, over another connection, or now. */
async function receiveAll(client: RawClient, count: number, before: readonly Packet[] = []): Promise<void> {
  const received = new Set(
    before.flatMap((packet) => (packet.cmd === 'publish' ? [String(packet.payload)] : [])),
  )
  while (received.size < count) {
    const publish = await client.nextPublish('load')
    received.add(publish.payload.toString())
    await client.acknowledge(publish)
  }
}

async function startGateway(id: string, redis: RedisServer): Promise<GatewayProcess> {
  return GatewayProcess.start({
    config: (ports) => {
      const env = {
        NODE_ID: id,
        REDIS_URL: redis.url,
        LISTEN_ON: '127.0.0.1',
        PROXY_NETWORK: '127.0.0.1/32',
        LOG_LEVEL: 'debug',
      }
      const overrides = [
        `listeners.web.port=${ports.web}`,
        `listeners.mqtt.port=${ports.mqtt}`,
        `admin.port=${ports.admin}`,
      ]
      return loadConfig({ file: GATEWAY_CONFIG, overrides, env }).config
    },
  })
}

async function clientsOf(gateway: GatewayProcess): Promise<number> {
  const { text } = await gateway.admin('/metrics')
  return Number(/^openclaw_clients(?:\{.*\})? (\d+)$/m.exec(text)?.[1])
}
