import { expect, test } from 'vitest'
import { until } from '../../broker/store/redis/testing.js'
import { TestCluster } from '../harness/cluster.js'
import { unique, type TestGateway } from '../harness/gateway.js'
import { describeWith } from '../harness/programs.js'
import type { RawClient } from '../harness/raw-client.js'

const lasting = { sessionExpiryInterval: 600 }

/** How a master ends: its connections are closed, or stay open and nobody answers any more, as with a host that vanishes. */
const ends = [
  { how: 'is killed', end: 'kill' },
  { how: 'comes to a standstill', end: 'pause' },
] as const

describeWith('gateways on a Redis behind Sentinel', ['redis-server'], () => {
  test.concurrent.each(ends)('go on with the replica when the master $how', async ({ end }) => {
    const cluster = new TestCluster({
      nodes: 2,
      sentinels: true,
      config: { shutdown: { drainSeconds: 1, graceSeconds: 1 } },
    })
    try {
      await cluster.start()
      const [a, b] = cluster.nodes as [TestGateway, TestGateway]
      const topic = unique('t')
      const clients: RawClient[] = []
      for (const node of [a, b])
        for (const properties of [{}, lasting]) {
          const client = await node.connect({ properties })
          await client.subscribe(topic, 1)
          clients.push(client)
        }
      const publishers = [await a.connect(), await b.connect()]
      await crosses(publishers, clients, topic)

      const { sentinels } = cluster
      const [master, replica] = sentinels.servers
      // What is not replicated yet would be lost with the master: that is what `redis.waitReplicas` is for.
      await until(async () => (await master.client.wait(1, 100)) === 1)
      await master[end]()
      const underWay = publishers.map((publisher) => publisher.publish(topic, 'under way', { qos: 1 }))
      await until(() => cluster.nodes.every(({ notReady }) => notReady.length > 0))
      await until(async () => (await sentinels.masterPort()) === replica.port)
      await until(() => cluster.nodes.every(({ notReady }) => notReady.length === 0))

      for (const [i, publisher] of publishers.entries())
        await publisher.next('puback', ({ messageId }) => messageId === underWay[i])
      for (const client of clients) {
        expect(client.open).toBe(true)
        for (let i = 0; i < publishers.length; i++) {
          const publish = await client.nextPublish(topic)
          expect(publish.payload.toString()).toBe('under way')
          await client.acknowledge(publish)
        }
      }
      await crosses(publishers, clients, topic)
      const later = await b.connect({ properties: lasting })
      await later.subscribe(topic, 1)
      await crosses(publishers, [...clients, later], topic)
      for (const { log } of cluster.nodes)
        expect(log.map(({ event }) => event)).not.toContain('node_expelled')
    } finally {
      await cluster.stop()
    }
  })

  test.concurrent(
    'with `redis.waitReplicas` nothing is acknowledged without the replica, and that is said',
    async () => {
      const cluster = new TestCluster({
        nodes: 2,
        sentinels: true,
        redis: { waitReplicas: 1 },
        config: { shutdown: { drainSeconds: 1, graceSeconds: 1 } },
      })
      try {
        await cluster.start()
        const [a, b] = cluster.nodes as [TestGateway, TestGateway]
        const [, replica] = cluster.sentinels.servers
        const topic = unique('t')
        const receiver = await b.connect({ properties: lasting })
        await receiver.subscribe(topic, 1)
        const publisher = await a.connect()
        await crosses([publisher], [receiver], topic)
        await replica.kill()
        const messageId = publisher.publish(topic, 'waits', { qos: 1 })
        let isAcknowledged = false
        const acknowledged = (async () => {
          while (!isAcknowledged) {
            const packets = await publisher.settled()
            isAcknowledged = packets.some(
              (packet) => packet.cmd === 'puback' && packet.messageId === messageId,
            )
            await new Promise((resolve) => setTimeout(resolve, 20))
          }
        })()
        const words = /too few replicas \(`redis.waitReplicas`\): 0 of 1 replicas have it\. Bring them back/
        await until(() =>
          cluster.nodes.every(({ notReady }) => notReady.some((reason) => words.test(reason))),
        )
        expect(isAcknowledged).toBe(false)
        await replica.start()
        await acknowledged
        expect(await receiver.nextPayloads(1)).toEqual(['waits'])
        await until(() => cluster.nodes.every(({ notReady }) => notReady.length === 0))
      } finally {
        await cluster.stop()
      }
    },
  )
})

/** Every client gets what each publisher sends, at QoS 1. */
async function crosses(
  publishers: readonly RawClient[],
  clients: readonly RawClient[],
  topic: string,
): Promise<void> {
  for (const publisher of publishers) {
    const payload = unique('p')
    const { reasonCode = 0 } = await publisher.publishAcknowledged(topic, payload, { qos: 1 })
    expect(reasonCode).toBe(0)
    for (const client of clients) {
      const publish = await client.nextPublish(topic)
      expect(publish.payload.toString()).toBe(payload)
      await client.acknowledge(publish)
    }
  }
}
