import { expect, test } from 'vitest'
import { useCluster } from '../harness/cluster.js'
import { unique, type TestGateway } from '../harness/gateway.js'
import { describeWith } from '../harness/programs.js'
import type { ConnectOptions, RawClient } from '../harness/raw-client.js'

const lasting = { sessionExpiryInterval: 600 }

describeWith('wills between nodes', ['redis-server'], () => {
  const cluster = useCluster()
  const node = (index: number): TestGateway => cluster.nodes[index]!

  async function withWill(options: ConnectOptions = {}, delay = 0, qos: 0 | 1 | 2 = 1) {
    const topic = unique('will')
    const clientId = unique('c')
    const watcher = await node(2).connect()
    await watcher.subscribe(topic, qos)
    const client = await node(0).connect({
      clientId,
      ...options,
      will: {
        topic,
        payload: Buffer.from('gone'),
        qos,
        retain: false,
        properties: { willDelayInterval: delay },
      },
    })
    return { topic, clientId, watcher, client }
  }

  async function silence(watcher: RawClient): Promise<void> {
    await node(0).connect()
    expect(await watcher.settled()).toEqual([])
  }

  test.each([0, 1, 2] as const)(
    '[MQTT-3.1.2-8] a will reaches subscribers on other nodes (QoS %i)',
    async (qos) => {
      const { client, watcher } = await withWill({}, 0, qos)
      await client.abort()
      expect(await watcher.nextPublish()).toMatchObject({ qos, payload: Buffer.from('gone') })
    },
  )

  test('[MQTT-3.1.2-10] a takeover by another node publishes it once, before the CONNACK', async () => {
    const { client, watcher, clientId, topic } = await withWill({ properties: lasting })
    const second = await node(1).connect({ clientId, clean: false, properties: lasting })
    await second.publishAcknowledged(topic, 'online', { qos: 1 })
    expect(await watcher.nextPayloads(2)).toEqual(['gone', 'online'])
    expect(await client.disconnectedByPeer()).toBe(0x8e)
    await silence(watcher)
  })

  test('[MQTT-3.1.3-9] a client that comes back to another node within the delay takes its will back', async () => {
    const { client, watcher, clientId } = await withWill({ properties: lasting }, 30)
    await client.abort()
    const second = await node(1).connect({ clientId, clean: false, properties: lasting })
    for (const each of cluster.nodes) each.clock.skip(40)
    await silence(watcher)
    await second.disconnect()
  })

  test('[MQTT-3.1.3-9] a takeover within the delay publishes nothing', async () => {
    const { watcher, clientId } = await withWill({ properties: lasting }, 30)
    await node(1).connect({ clientId, clean: false, properties: lasting })
    for (const each of cluster.nodes) each.clock.skip(40)
    await silence(watcher)
  })

  test('[MQTT-3.1.2-8] Clean Start on another node within the delay ends the session, and publishes it', async () => {
    const { client, watcher, clientId } = await withWill({ properties: lasting }, 30)
    await client.abort()
    await node(1).connect({ clientId, clean: true })
    expect((await watcher.nextPublish()).payload.toString()).toBe('gone')
    for (const each of cluster.nodes) each.clock.skip(40)
    await silence(watcher)
  })

  test('[MQTT-3.1.2-8] a delay that is over publishes it', async () => {
    const { client, watcher } = await withWill({ properties: lasting }, 30)
    await client.abort()
    await silence(watcher)
    for (const each of cluster.nodes) each.clock.skip(31)
    expect((await watcher.nextPublish()).payload.toString()).toBe('gone')
  })

  test('[MQTT-3.14.4-3] DISCONNECT with 0x00 on the node that the client came to discards it', async () => {
    const { watcher, clientId, topic } = await withWill({ properties: lasting }, 30)
    const will = { topic, payload: Buffer.from('second'), qos: 1 as const, retain: false }
    const second = await node(1).connect({ clientId, clean: false, properties: lasting, will })
    await second.disconnect()
    for (const each of cluster.nodes) each.clock.skip(40)
    await silence(watcher)
  })
})
