import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import type { ConfigInput } from '../config/schema.js'
import { startRedis } from '../broker/store/redis/testing.js'
import { OpenClaw } from './harness/openclaw.js'
import { GatewayProcess, type Ports } from './harness/process.js'
import { describeWith } from './harness/programs.js'
import { RawClient, type ConnectOptions } from './harness/raw-client.js'

const toDispose: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const dispose of toDispose.splice(0).reverse()) await dispose()
})

async function start(more: ConfigInput = {}): Promise<GatewayProcess> {
  const gateway = await GatewayProcess.start({
    config: ({ mqtt, admin }: Ports) => ({
      listeners: [{ name: 'mqtt', type: 'tcp', port: mqtt }],
      admin: { port: admin },
      ...more,
    }),
  })
  toDispose.push(() => gateway.dispose())
  return gateway
}

async function connect(gateway: GatewayProcess, options: ConnectOptions): Promise<RawClient> {
  const client = await RawClient.connect(gateway.ports.mqtt, options)
  toDispose.push(() => client.abort())
  return client
}

const lasting = { clean: false, properties: { sessionExpiryInterval: 600 } }

/** Publishes at QoS 1 without a pause until the connection ends; the numbers that were acknowledged. */
async function publishUntilGone(client: RawClient, topic: string): Promise<number> {
  for (let acknowledged = 0; ; acknowledged++) {
    try {
      await client.publishAcknowledged(topic, String(acknowledged), { qos: 1 })
    } catch {
      return acknowledged
    }
  }
}

/** A subscriber and a publisher under load, a drain by SIGTERM, and the next process: nothing acknowledged is missing. */
async function losesNothing(gateway: GatewayProcess): Promise<void> {
  const subscriber = await connect(gateway, { clientId: 'subscriber', ...lasting })
  await subscriber.subscribe('load', 1)
  const publisher = await connect(gateway, { clientId: 'publisher', ...lasting })
  const publishing = publishUntilGone(publisher, 'load')
  const received = new Set<string>()
  const receiving = (async () => {
    for (;;) {
      const publish = await subscriber.nextPublish()
      received.add(publish.payload.toString())
      await subscriber.acknowledge(publish)
    }
  })().catch(() => {})
  await sleep(300)
  expect((await gateway.stop()).code).toBe(0)
  const acknowledged = await publishing
  await receiving
  expect(acknowledged).toBeGreaterThan(10)

  await gateway.start()
  const back = await connect(gateway, { clientId: 'subscriber', ...lasting })
  expect(back.connack.sessionPresent).toBe(true)
  for (const packet of await back.settled())
    if (packet.cmd === 'publish') received.add(packet.payload.toString())
  while (received.size < acknowledged) {
    const publish = await back.nextPublish()
    received.add(publish.payload.toString())
    await back.acknowledge(publish)
  }
}

describe('SIGTERM', () => {
  it('asks clients to leave, in the words of their version', async () => {
    const gateway = await start()
    const five = await connect(gateway, { clientId: 'five', ...lasting })
    const three = await connect(gateway, { clientId: 'three', protocolVersion: 4 })
    const ending = gateway.stop()
    expect(await five.disconnectedByPeer()).toBe(0x8b)
    expect(await three.remainder()).toEqual([])
    expect((await ending).code).toBe(0)
  })

  it('names the server that the configuration refers to', async () => {
    const gateway = await start({ session: { serverReference: 'other.example.com:1883' } })
    const client = await connect(gateway, { clientId: 'c' })
    const ending = gateway.stop()
    expect(await client.next('disconnect')).toMatchObject({
      reasonCode: 0x9c,
      properties: { serverReference: 'other.example.com:1883' },
    })
    await ending
  })

  it('loses nothing that was acknowledged', async () => {
    await losesNothing(await start())
  })

  it('is announced on /readyz first, and no client is turned away before', async () => {
    const gateway = await start({ shutdown: { noticeSeconds: 1.5 } })
    const client = await connect(gateway, { clientId: 'c' })
    const ending = gateway.stop()
    while ((await gateway.admin('/readyz')).status === 200) await sleep(5)
    expect((await gateway.admin('/readyz')).text).toContain('the node is being drained')
    const late = await connect(gateway, { clientId: 'late' })
    expect(late.connack.reasonCode).toBe(0)
    expect(await client.disconnectedByPeer()).toBe(0x8b)
    expect(await late.disconnectedByPeer()).toBe(0x8b)
    expect((await ending).code).toBe(0)
  })

  it('a second time ends the process at once', async () => {
    const gateway = await start({ shutdown: { clientsPerSecond: 1, drainSeconds: 600 } })
    const clients = await Promise.all(
      Array.from({ length: 5 }, (_, i) => connect(gateway, { clientId: `c${i}` })),
    )
    const ending = gateway.stop()
    await Promise.any(clients.map((client) => client.next('disconnect')))
    await gateway.stop()
    expect((await ending).code).toBe(1)
    const told = await Promise.all(
      clients.map(async (client) => (await client.remainder()).some(({ cmd }) => cmd === 'disconnect')),
    )
    expect(told.filter(Boolean).length).toBeLessThan(4)
  })

  it('leaves wills to the next process', async () => {
    const gateway = await start()
    const will = (topic: string) => ({
      topic,
      payload: Buffer.from('offline'),
      qos: 1 as const,
      retain: true,
    })
    await connect(gateway, { clientId: 'gone', ...lasting, will: will('wills/gone') })
    const left = await connect(gateway, { clientId: 'left', ...lasting, will: will('wills/left') })
    await left.disconnect()
    await gateway.stop()
    await gateway.start()
    const watcher = await connect(gateway, { clientId: 'watcher' })
    await watcher.subscribe('wills/#', 1)
    expect((await watcher.nextPublish()).topic).toBe('wills/gone')
    expect(await watcher.settled()).toEqual([])
  })
})

describe('openclaw drain', () => {
  it('empties the gateway, waits until it is empty, and leaves the process to whoever has started it', async () => {
    const gateway = await start({ shutdown: { clientsPerSecond: 5, drainSeconds: 60 } })
    const clients = await Promise.all(
      Array.from({ length: 4 }, (_, i) => connect(gateway, { clientId: `c${i}` })),
    )
    const left = clients.map((client) => client.disconnectedByPeer())
    const outcome = await OpenClaw.run(['drain', '--config', gateway.configFile, '--json'])
    expect(outcome).toMatchObject({ code: 0, stderr: '' })
    expect(JSON.parse(outcome.stdout)).toMatchObject({ phase: 'drained', clients: 0, clientsAtStart: 4 })
    expect(await Promise.all(left)).toEqual([0x8b, 0x8b, 0x8b, 0x8b])
    expect((await gateway.admin('/readyz')).status).toBe(503)
    await expect(RawClient.open(gateway.ports.mqtt)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    expect(gateway.running).toBe(true)
    // Again: nothing to do.
    const again = await OpenClaw.run(['drain', '--url', `http://127.0.0.1:${gateway.ports.admin}`])
    expect([again.code, again.stdout]).toEqual([
      0,
      expect.stringMatching(/^Drained: 4 clients have left in /),
    ])
    expect((await gateway.stop()).code).toBe(0)
  })

  it('says what to do where nothing answers', async () => {
    const outcome = await OpenClaw.run(['drain', '--url', 'http://127.0.0.1:1'])
    expect(outcome.code).toBe(1)
    expect(outcome.stderr).toContain('ADMIN_UNREACHABLE: Nothing answers at http://127.0.0.1:1.')
  })
})

describeWith('with redis as the store', ['redis-server'], () => {
  it('a drain loses nothing that was acknowledged either', async () => {
    const redis = await startRedis()
    toDispose.push(() => redis.stop())
    const gateway = await start({ store: { type: 'redis' }, redis: { url: redis.url } })
    await losesNothing(gateway)
  })
})
