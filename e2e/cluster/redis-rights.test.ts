import { expect, test } from 'vitest'
import { neededRights } from '../../broker/store/redis/rights.js'
import { until } from '../../broker/store/redis/testing.js'
import { TestCluster } from '../harness/cluster.js'
import { unique, type TestGateway } from '../harness/gateway.js'
import { describeWith } from '../harness/programs.js'

const lasting = { sessionExpiryInterval: 600 }

describeWith('a Redis user with the least rights', ['redis-server'], () => {
  test.concurrent.each([1, 3])('is enough for two nodes on %i masters', async (masters) => {
    const cluster = await started(masters, 2)
    try {
      const [a, b] = cluster.nodes as [TestGateway, TestGateway]
      const topic = unique('t')
      const clientId = unique('c')
      const receiver = await b.connect({ clientId, properties: lasting })
      await receiver.subscribe(topic, 2)
      const clean = await b.connect()
      await clean.subscribe([{ topic }, { topic: `$share/g/${topic}` }], 1)
      const will = { topic, payload: Buffer.from('gone'), qos: 1 as const, retain: true }
      const publisher = await a.connect({ will })
      for (const qos of [1, 2] as const) await publisher.publishAcknowledged(topic, `${qos}`, { qos })
      await publisher.abort()
      for (const payload of ['1', '2', 'gone']) {
        const publish = await receiver.nextPublish()
        expect(publish.payload.toString()).toBe(payload)
        await receiver.acknowledge(publish)
      }
      expect(await clean.nextPayloads(6)).toEqual(['1', '1', '2', '2', 'gone', 'gone'])
      // A takeover, and the end of a node with all it leaves behind.
      const again = await a.connect({ clientId, clean: false, properties: lasting })
      expect(again.connack.sessionPresent).toBe(true)
      await b.dispose()
      await again.unsubscribe(topic)
      await again.disconnect()
      for (const node of cluster.nodes) {
        const said = JSON.stringify(node.log)
        expect(said).not.toMatch(/NOPERM|executing the script|the rights|damaged/)
      }
      expect(a.notReady).toEqual([])
    } finally {
      await cluster.stop()
    }
  })

  test.concurrent('a right that is taken away while they run is named by whoever needs it', async () => {
    const cluster = await started(1, 2)
    const [server] = cluster.servers
    try {
      const [a, b] = cluster.nodes as [TestGateway, TestGateway]
      const topic = unique('t')
      const receiver = await b.connect()
      await receiver.subscribe(topic, 1)
      const publisher = await a.connect()
      const cases = [
        {
          command: 'xadd',
          reason: /^bus: .*rights .*'xadd' command.*ACL SETUSER <user> ~e2e\* &e2e\* .*\+xadd/,
        },
        { command: 'zadd', reason: /^membership: .*rights .*ACL SETUSER <user> ~e2e\* &e2e\* .*\+zadd/ },
        {
          command: 'set',
          reason: /^store: .*rights .*refused: set.*ACL SETUSER <user> ~e2e\* &e2e\* .*\+set/,
        },
      ]
      for (const { command, reason } of cases) {
        await server?.client.call('acl', 'setuser', 'gateway', `-${command}`)
        const messageId = publisher.publish(topic, command, { qos: 1 })
        await until(() => a.notReady.some((said) => reason.test(said)))
        await server?.client.call('acl', 'setuser', 'gateway', `+${command}`)
        await publisher.next('puback', (puback) => puback.messageId === messageId)
        expect(await receiver.nextPayloads(1)).toEqual([command])
        await until(() => cluster.nodes.every(({ notReady }) => notReady.length === 0))
      }
    } finally {
      await cluster.stop()
    }
  })
})

async function started(masters: number, nodes: number): Promise<TestCluster> {
  const credentials = { username: 'gateway', password: 'pw' }
  const cluster = new TestCluster({ nodes: 0, masters, redis: credentials })
  await cluster.start()
  const least = neededRights('e2e', masters > 1).split(' ')
  for (const { client } of cluster.servers)
    await client.call(
      'acl',
      'setuser',
      credentials.username,
      'reset',
      'on',
      `>${credentials.password}`,
      ...least,
    )
  for (let i = 0; i < nodes; i++) await cluster.addNode()
  return cluster
}
