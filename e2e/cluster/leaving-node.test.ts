import { expect, test } from 'vitest'
import { keysOf, useCluster, type TestCluster } from '../harness/cluster.js'
import { unique } from '../harness/gateway.js'
import { describeWith } from '../harness/programs.js'

const lasting = { sessionExpiryInterval: 600 }

/** What is in Redis of sessions, messages, wills and nodes: everything but what belongs to the store as a whole. */
async function keysOfData(cluster: TestCluster): Promise<string[]> {
  // Marks of nodes that have gone last a day.
  const lasts = /(?:format|:meta|:log|:beat|:gone|:news)$|:n:/
  return (await keysOf(cluster.servers)).filter((key) => !lasts.test(key))
}

describeWith('a node that leaves', ['redis-server'], () => {
  const cluster = useCluster({ nodes: 2, config: { shutdown: { graceSeconds: 1, drainSeconds: 1 } } })

  test('is missed by nobody: sessions go on elsewhere, wills are published, and no key is left', async () => {
    const before = await keysOfData(cluster)
    const leaving = await cluster.addNode()
    const staying = cluster.nodes[0]!
    const topic = unique('t')
    const willTopic = unique('will')
    const clientId = unique('c')
    const watcher = await staying.connect()
    await watcher.subscribe(willTopic, 1)
    const will = { topic: willTopic, payload: Buffer.from('gone'), qos: 1 as const, retain: false }
    const client = await leaving.connect({ clientId, properties: lasting, will })
    await client.subscribe(topic, 1)
    const clean = await leaving.connect()
    await clean.subscribe(topic, 1)
    const publisher = await staying.connect()
    await publisher.publishAcknowledged(topic, '1', { qos: 1 })
    expect((await client.nextPublish()).payload.toString()).toBe('1')

    await leaving.stop()
    cluster.nodes.splice(cluster.nodes.indexOf(leaving), 1)
    expect(await client.disconnectedByPeer()).toBeGreaterThanOrEqual(0x80)
    // Not behind its lease: it has said that it goes.
    expect((await watcher.nextPublish()).payload.toString()).toBe('gone')
    await publisher.publishAcknowledged(topic, '2', { qos: 1 })
    const back = await cluster.nodes[1]!.connect({ clientId, clean: false, properties: lasting })
    expect(await back.nextPayloads(2)).toEqual(['1', '2'])
    expect(leaving.errors).toEqual([])
    await back.disconnect(0, { sessionExpiryInterval: 0 })
    await watcher.disconnect()
    await publisher.disconnect()
    await expect.poll(() => keysOfData(cluster)).toEqual(before)
  })

  test('ends when Redis is away, and is taken over from when that is back', async () => {
    const clientId = unique('c')
    const topic = unique('t')
    const leaving = await cluster.addNode()
    const client = await leaving.connect({ clientId, properties: lasting })
    await client.subscribe(topic, 1)
    cluster.servers[0]!.pause()
    await leaving.stop()
    await client.closedByPeer()
    // The writes that failed are no defects, and nothing goes on behind it.
    expect(leaving.log.filter(({ event }) => event === 'defect')).toEqual([])
    expect(leaving.clock.pendingTimers).toBe(0)
    cluster.servers[0]!.resume()
    cluster.nodes.splice(cluster.nodes.indexOf(leaving), 1)
    const back = await cluster.nodes[1]!.connect({ clientId, clean: false, properties: lasting })
    expect(back.connack.sessionPresent).toBe(true)
    const publisher = await cluster.nodes[0]!.connect()
    await publisher.publishAcknowledged(topic, 'x', { qos: 1 })
    expect((await back.nextPublish()).payload.toString()).toBe('x')
    // They have said that Redis was away.
    for (const node of cluster.nodes) node.log.length = 0
  })
})
