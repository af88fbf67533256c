import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { connect as connectTcp } from 'node:net'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import { afterEach, expect, it } from 'vitest'
import { WebSocket, createWebSocketStream } from 'ws'
import type { ConfigInput } from '../config/schema.js'
import { startRedis, until, type RedisServer } from '../broker/store/redis/testing.js'
import { freePort } from '../broker/contract/free-port.js'
import { OpenClaw } from './harness/openclaw.js'
import { GatewayProcess, type Ports } from './harness/process.js'
import { describeWith } from './harness/programs.js'
import { RawClient } from './harness/raw-client.js'

const toDispose: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const dispose of toDispose.splice(0).reverse()) await dispose()
})

const PIPELINES = `
pipelines:
  - name: rooms
    source: { type: mqtt, topic: 'sensors/{room}' }
    window: { type: tumbling, sizes: [1s], by: [room] }
    sink: { type: mqtt, topic: 'feeds/{room}/{window}' }
`

/** Publishes readings until two windows have been fed; resolves to what came. Over two connections, on two workers. */
async function feedsFrom(node: GatewayProcess): Promise<string[]> {
  const [viewer, device] = await connectAll(node, 2, 'feeds')
  if (viewer === undefined || device === undefined) throw new Error('two clients')
  await viewer.subscribe('feeds/#', 0)
  const readings = setInterval(() => device.publish('sensors/hall', '{"value": 1}'), 50)
  try {
    return await viewer.nextPayloads(2)
  } finally {
    clearInterval(readings)
  }
}

async function startNode(
  workers: number,
  more: ConfigInput = {},
  pipelines = '',
): Promise<[GatewayProcess, RedisServer]> {
  const redis = await startRedis()
  toDispose.push(() => redis.stop())
  const node = await GatewayProcess.prepare({
    config: ({ mqtt, web, admin }: Ports) => ({
      node: { id: 'n', workers },
      listeners: [
        { name: 'mqtt', type: 'tcp', port: mqtt },
        { name: 'web', type: 'ws', port: web },
      ],
      store: { type: 'redis' },
      redis: { url: redis.url },
      admin: { port: admin },
      ...more,
    }),
  })
  toDispose.push(() => node.dispose())
  await writeFile(path.join(node.folder, 'bridges.yaml'), pipelines)
  await node.start()
  return [node, redis]
}

async function connect(node: GatewayProcess, clientId: string): Promise<RawClient> {
  const client = await RawClient.connect(node.ports.mqtt, { clientId })
  toDispose.push(() => client.abort())
  return client
}

function connectAll(node: GatewayProcess, count: number, name = 'c'): Promise<RawClient[]> {
  return Promise.all(Array.from({ length: count }, (_, i) => connect(node, `${name}${i}`)))
}

/** Lines of the log of that event. */
function events(node: GatewayProcess, event: string): Record<string, unknown>[] {
  return node.output
    .split('\n')
    .filter((line) => line.includes(`"event":"${event}"`))
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}

/** Values of a metric by worker. */
async function byWorker(node: GatewayProcess, metric: string): Promise<Record<string, number>> {
  const { text } = await node.admin('/metrics')
  const samples = text.matchAll(new RegExp(`^${metric}{(?:.*,)?worker="(\\d+)"} (\\S+)$`, 'gm'))
  return Object.fromEntries([...samples].map(([, worker = '', value]) => [worker, Number(value)]))
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

const pidsOf = (node: GatewayProcess) => events(node, 'worker_ready').map(({ pid }) => Number(pid))

describeWith('a node with workers', ['redis-server'], () => {
  it('shares out its connections, replaces a worker that dies, and gives it its share again', async () => {
    const [node] = await startNode(3)
    const clients = await connectAll(node, 12)
    expect(await byWorker(node, 'openclaw_clients')).toEqual({ 1: 4, 2: 4, 3: 4 })
    const [first = 0] = events(node, 'worker_ready')
      .filter(({ worker }) => worker === 1)
      .map(({ pid }) => Number(pid))
    expect(events(node, 'worker_leads').map(({ worker }) => worker)).toHaveLength(1)

    process.kill(first, 'SIGKILL')
    await until(() => clients.filter(({ open }) => !open).length === 4)
    await sleep(50)
    expect(clients.filter(({ open }) => open)).toHaveLength(8)
    expect((await node.admin('/readyz')).status).toBe(200)
    await until(() => events(node, 'worker_ready').length === 4)
    await connectAll(node, 4, 'again')
    expect(await byWorker(node, 'openclaw_clients')).toEqual({ 1: 4, 2: 4, 3: 4 })
    expect(await byWorker(node, 'openclaw_worker_exits_total')).toMatchObject({ 0: 1 })
    expect(events(node, 'worker_exited')).toMatchObject([
      { worker: 1, how: 'signal SIGKILL', level: 'error' },
    ])
  })

  it('is one broker: messages cross from worker to worker', async () => {
    const [node] = await startNode(2)
    const [subscriber, publisher] = await connectAll(node, 2)
    if (subscriber === undefined || publisher === undefined) throw new Error('two clients')
    expect(await byWorker(node, 'openclaw_clients')).toEqual({ 1: 1, 2: 1 })
    await subscriber.subscribe('t', 1)
    publisher.publish('t', 'zero')
    await publisher.publishAcknowledged('t', 'one', { qos: 1 })
    expect(await subscriber.nextPayloads(2)).toEqual(['zero', 'one'])
  })

  it('hands over connections unread: TLS, WebSocket and the PROXY protocol work as in one process', async () => {
    const folder = path.join(import.meta.dirname, '..', 'broker', 'transport', 'testdata')
    const [tlsPort, proxied] = await Promise.all([freePort(), freePort()])
    const tls = { certFile: path.join(folder, 'server.crt'), keyFile: path.join(folder, 'server.key') }
    const [node] = await startNode(2, {
      listeners: [
        { name: 'tls', type: 'tls', port: tlsPort, tls },
        { name: 'web', type: 'ws', port: proxied, proxyProtocol: { trusted: ['127.0.0.1'] } },
      ],
      auth: { anonymous: 'always' },
      log: { level: 'debug' },
    })
    const ca = await readFile(path.join(folder, 'ca.crt'))
    for (let i = 0; i < 10; i++) {
      const socket = connectTls({ host: '127.0.0.1', port: tlsPort, ca })
      await once(socket, 'secureConnect')
      const client = new RawClient(socket)
      toDispose.push(() => client.abort())
      await client.connect({ clientId: `tls${i}` })

      const plain = connectTcp(proxied, '127.0.0.1')
      plain.write(`PROXY TCP4 192.0.2.${i + 1} 127.0.0.1 4000 80\r\n`)
      const webSocket = new WebSocket('ws://localhost/mqtt', ['mqtt'], { createConnection: () => plain })
      await once(webSocket, 'open')
      const web = new RawClient(createWebSocketStream(webSocket))
      toDispose.push(() => web.abort())
      await web.connect({ clientId: `web${i}` })
    }
    expect(await byWorker(node, 'openclaw_clients')).toEqual({ 1: 10, 2: 10 })
    expect(node.output).toContain('"remote":"192.0.2.10:4000"')
  })

  it('lets nobody wait for a worker that was stuck and has died', async () => {
    const [node] = await startNode(2)
    const pid = Number(events(node, 'worker_ready').find(({ worker }) => worker === 1)?.['pid'])
    process.kill(pid, 'SIGSTOP')
    const clients = await Promise.all(Array.from({ length: 20 }, () => RawClient.open(node.ports.mqtt)))
    for (const client of clients) toDispose.push(() => client.abort())
    process.kill(pid, 'SIGKILL')
    await until(() => clients.filter(({ open }) => !open).length === 10)
  })

  it('runs pipelines in one worker, and in another one when that dies', async () => {
    const [node] = await startNode(2, { bridges: { file: 'bridges.yaml' } }, PIPELINES)
    const first = await feedsFrom(node)
    const leader = events(node, 'worker_leads')[0]?.['worker']
    const pid = events(node, 'worker_ready').find(({ worker }) => worker === leader)?.['pid']
    process.kill(Number(pid), 'SIGKILL')
    await until(() => events(node, 'worker_leads').length === 2)
    expect(events(node, 'worker_leads')[1]?.['worker']).not.toBe(leader)
    const then = await feedsFrom(node)
    // One of each window: nobody else runs them as well.
    for (const feeds of [first, then]) expect(new Set(feeds).size).toBe(feeds.length)
  })

  it('takes over at once from a worker that dies, and not when its lease has ended', async () => {
    const [node] = await startNode(2, { cluster: { leaseSeconds: 300 } })
    const device = await RawClient.connect(node.ports.mqtt, {
      clientId: 'device',
      will: { topic: 'wills/device', payload: 'gone', qos: 1 },
    })
    toDispose.push(() => device.abort())
    const [worker] = Object.entries(await byWorker(node, 'openclaw_clients')).find(([, n]) => n === 1) ?? []
    const viewer = await connect(node, 'viewer')
    expect(await byWorker(node, 'openclaw_clients')).toEqual({ 1: 1, 2: 1 })
    await viewer.subscribe('wills/+', 1)
    const started = events(node, 'worker_ready').find((event) => event['worker'] === Number(worker))
    process.kill(Number(started?.['pid']), 'SIGKILL')
    expect(await viewer.nextPayloads(1)).toEqual(['gone'])
  })

  it('drains all of them at SIGTERM, also when the whole group gets it, and leaves no process behind', async () => {
    const [node] = await startNode(2)
    const clients = await connectAll(node, 6)
    const pids = pidsOf(node)
    const left = clients.map((client) => client.disconnectedByPeer())
    for (const pid of pids) process.kill(pid, 'SIGTERM')
    const outcome = await node.stop()
    expect(await Promise.all(left)).toEqual(Array(6).fill(0x9c))
    expect(outcome.code).toBe(0)
    expect(pids.filter(isRunning)).toEqual([])
    expect(events(node, 'worker_exited')).toEqual([])
  })

  it('is drained as a whole by openclaw drain, and goes on', async () => {
    const [node] = await startNode(2)
    const clients = await connectAll(node, 6)
    // No client, and it does not leave: it must not hold up anything.
    const idle = await RawClient.open(node.ports.mqtt)
    toDispose.push(() => idle.abort())
    const left = Promise.all(clients.map((client) => client.disconnectedByPeer()))
    const outcome = await OpenClaw.run(['drain', '--config', node.configFile, '--json'])
    expect(outcome.code).toBe(0)
    expect(JSON.parse(outcome.stdout)).toMatchObject({ phase: 'drained', clients: 0, clientsAtStart: 6 })
    await left
    expect((await node.admin('/readyz')).status).toBe(503)
    expect(pidsOf(node).every(isRunning)).toBe(true)
    expect((await node.stop()).code).toBe(0)
  })

  it('leaves no worker behind when it is killed itself', async () => {
    const [node] = await startNode(2)
    const pids = pidsOf(node)
    expect(pids).toHaveLength(2)
    await node.kill()
    await until(() => !pids.some(isRunning))
  })

  it('says at the start what keeps its workers from starting', async () => {
    const node = await GatewayProcess.prepare({
      config: ({ mqtt }: Ports) => ({
        node: { workers: 2 },
        listeners: [{ name: 'mqtt', type: 'tcp', port: mqtt }],
        store: { type: 'redis' },
        redis: { url: 'redis://127.0.0.1:1', connectTimeoutSeconds: 0.5 },
        admin: { enabled: false },
      }),
    })
    toDispose.push(() => node.dispose())
    const { code, stderr } = await node.launch().exited
    expect(code).toBe(1)
    expect(stderr).toMatch(/^REDIS_UNREACHABLE: /)
  })
})
