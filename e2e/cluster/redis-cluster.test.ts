import { expect, test } from 'vitest'
import { until } from '../../broker/store/redis/testing.js'
import { keysOf, useCluster } from '../harness/cluster.js'
import { unique, type TestGateway } from '../harness/gateway.js'
import { describeWith } from '../harness/programs.js'
import type { RawClient } from '../harness/raw-client.js'

const lasting = { sessionExpiryInterval: 600 }

describeWith('gateways on a Redis Cluster of three masters', ['redis-server'], () => {
  const cluster = useCluster({ nodes: 2, masters: 3, bringsAbout: ['store_write_failed'] })
  const node = (index: number): TestGateway => cluster.nodes[index]!

  test.each([0, 1, 2] as const)(
    'a message reaches clean and lasting sessions on both nodes, once (QoS %i)',
    async (qos) => {
      const topic = unique('t')
      const clients = []
      for (let i = 0; i < 12; i++) {
        const client = await node(i % 2).connect({ properties: i < 6 ? {} : lasting })
        await client.subscribe(topic, qos)
        clients.push(client)
      }
      const publisher = await node(0).connect()
      if (qos === 0) publisher.publish(topic, 'x')
      else await publisher.publishAcknowledged(topic, 'x', { qos })
      for (const client of clients) {
        const publish = await client.nextPublish()
        expect(publish).toMatchObject({ topic, qos })
        await client.acknowledge(publish)
      }
      for (const client of clients) expect(await client.settled()).toEqual([])
    },
  )

  test('sessions are resumed and taken over, with what is queued', async () => {
    const publisher = await node(0).connect()
    for (let i = 0; i < 6; i++) {
      const clientId = unique('c')
      const topic = unique('t')
      const first = await node(0).connect({ clientId, properties: lasting })
      await first.subscribe(topic, 1)
      const second = await node(1).connect({ clientId, clean: false, properties: lasting })
      expect(await first.disconnectedByPeer()).toBe(0x8e)
      await second.disconnect()
      for (const payload of ['1', '2']) await publisher.publishAcknowledged(topic, payload, { qos: 1 })
      const third = await node(0).connect({ clientId, clean: false, properties: lasting })
      expect(await third.nextPayloads(2)).toEqual(['1', '2'])
    }
  })

  test('retained messages are found on the other node by a wildcard', async () => {
    const prefix = unique('t')
    const publisher = await node(0).connect()
    const topics = Array.from({ length: 30 }, (_, i) => `${prefix}/${i}`)
    for (const topic of topics) await publisher.publishAcknowledged(topic, topic, { qos: 1, retain: true })
    const client = await node(1).connect()
    await client.subscribe(`${prefix}/+`)
    expect((await client.nextPayloads(30)).sort()).toEqual([...topics].sort())
  })

  test('a will is published once, and shared subscriptions are balanced', async () => {
    const topic = unique('t')
    const will = { topic, payload: Buffer.from('gone'), qos: 1 as const, retain: false }
    const members = [await node(0).connect(), await node(1).connect({ properties: lasting })]
    for (const member of members) await member.subscribe(`$share/g/${topic}`, 1)
    const watcher = await node(1).connect()
    await watcher.subscribe(topic, 1)
    const client = await node(0).connect({ will })
    await client.abort()
    expect((await watcher.nextPublish()).payload.toString()).toBe('gone')
    const publisher = await node(1).connect()
    for (let i = 0; i < 20; i++) await publisher.publishAcknowledged(topic, `${i}`, { qos: 1 })
    const counts = await Promise.all(members.map(async (member) => (await member.settled()).length))
    expect(counts[0]! + counts[1]!).toBe(21)
    expect(Math.min(...counts)).toBeGreaterThanOrEqual(5)
    expect(await watcher.nextPayloads(20)).toHaveLength(20)
  })

  test('a QoS 2 exchange goes on with PUBREL on the other node, and a repeated publish is published once', async () => {
    const topic = unique('t')
    const clientId = unique('c')
    const watcher = await node(1).connect({ properties: lasting })
    await watcher.subscribe(topic, 2)
    const first = await node(0).connect({ clientId, properties: lasting })
    const messageId = first.publish(topic, 'once', { qos: 2 })
    await first.next('pubrec')
    await first.abort()
    const second = await node(1).connect({ clientId, clean: false, properties: lasting })
    second.publish(topic, 'once', { qos: 2, messageId, dup: true })
    await second.next('pubrec')
    second.send({ cmd: 'pubrel', messageId })
    await second.next('pubcomp')
    const publish = await watcher.nextPublish()
    expect(publish.payload.toString()).toBe('once')
    await watcher.acknowledge(publish)
    expect(await watcher.settled()).toEqual([])
  })

  test('a delayed will is taken back on the other node, or published there once when it is due', async () => {
    const topic = unique('t')
    const watcher = await node(1).connect()
    await watcher.subscribe(topic, 1)
    for (const willDelayInterval of [60, 1]) {
      const clientId = unique('c')
      const payload = Buffer.from(String(willDelayInterval))
      const will = { topic, payload, qos: 1 as const, retain: false, properties: { willDelayInterval } }
      const client = await node(0).connect({ clientId, will, properties: lasting })
      await client.abort()
      if (willDelayInterval > 1) await node(1).connect({ clientId, clean: false, properties: lasting })
    }
    expect((await watcher.nextPublish()).payload.toString()).toBe('1')
    expect(await watcher.settled()).toEqual([])
  })

  test('a master that is away and comes back: nothing acknowledged is missing, the other masters go on', async () => {
    const topic = unique('t')
    const receivers: RawClient[] = []
    // In all partitions, and so on all masters.
    for (let i = 0; i < 12; i++) {
      const client = await node(i % 2).connect({ properties: lasting })
      await client.subscribe(topic, 1)
      receivers.push(client)
    }
    const publisher = await node(0).connect()
    await publisher.publishAcknowledged(topic, '1', { qos: 1 })
    cluster.servers[1]!.pause()
    await until(() => cluster.nodes.every(({ notReady }) => notReady.length > 0))
    const messageId = publisher.publish(topic, '2', { qos: 1 })
    cluster.servers[1]!.resume()
    await publisher.next('puback', (packet) => packet.messageId === messageId)
    await publisher.publishAcknowledged(topic, '3', { qos: 1 })
    for (const client of receivers) {
      for (const payload of ['1', '2', '3']) {
        const publish = await client.nextPublish()
        expect(publish.payload.toString()).toBe(payload)
        await client.acknowledge(publish)
      }
    }
    await until(() => cluster.nodes.every(({ notReady }) => notReady.length === 0))
    for (const client of receivers) expect(client.open).toBe(true)
  })

  test('every key carries the prefix and a hash tag', async () => {
    for (const key of await keysOf(cluster.servers)) expect(key).toMatch(/^e2e[^{]*(?:\{[^}]+\}|:format$)/)
  })
})
