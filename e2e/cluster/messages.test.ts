import { expect, test } from 'vitest'
import { useCluster } from '../harness/cluster.js'
import { unique } from '../harness/gateway.js'
import { describeWith } from '../harness/programs.js'

const lasting = { sessionExpiryInterval: 600 }

describeWith('messages between nodes', ['redis-server'], () => {
  const cluster = useCluster()

  test.each([0, 1, 2] as const)('a message reaches a subscriber on each node, once (QoS %i)', async (qos) => {
    const topic = unique('t')
    const subscribers = []
    for (const node of cluster.nodes) {
      for (const properties of [{}, lasting]) {
        const client = await node.connect({ properties })
        await client.subscribe([{ topic }, { topic: '#' }], qos)
        subscribers.push(client)
      }
    }
    const publisher = await cluster.nodes[0]!.connect()
    if (qos === 0) publisher.publish(topic, 'x')
    else await publisher.publishAcknowledged(topic, 'x', { qos })
    for (const client of subscribers) {
      const publish = await client.nextPublish()
      expect(publish).toMatchObject({ topic, qos, dup: false, retain: false })
      await client.acknowledge(publish)
    }
    for (const client of subscribers) expect(await client.settled()).toEqual([])
  })
})
