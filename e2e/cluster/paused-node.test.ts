import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { useClusterProcesses } from '../harness/cluster-processes.js'
import { LEASE_SECONDS } from '../harness/cluster.js'
import { unique } from '../harness/gateway.js'
import { describeWith } from '../harness/programs.js'

const lasting = { sessionExpiryInterval: 600 }

describeWith('a node that is paused for longer than its lease', ['redis-server'], () => {
  const cluster = useClusterProcesses()

  test('changes nothing when it wakes: it is expelled, tells its clients, and joins again', async () => {
    const topic = unique('t')
    const clientId = unique('mover')
    const willTopic = unique('will')
    const will = { topic: willTopic, payload: Buffer.from('gone'), qos: 1 as const, retain: false }
    const watcher = await cluster.connect(2)
    await watcher.subscribe(willTopic, 1)
    const mover = await cluster.connect(0, { clientId, properties: lasting, will })
    await mover.subscribe(topic, 1)
    const stayer = await cluster.connect(0, { properties: lasting })
    await stayer.subscribe(`${topic}/stayer`, 1)
    const publisher = await cluster.connect(1)

    cluster.signal(0, 'SIGSTOP')
    // What is sent to it now is read when it wakes, and must not be acknowledged by a node that is no more.
    const late = stayer.publish(topic, 'late', { qos: 1 })
    await expect.poll(() => cluster.metric(1, 'openclaw_cluster_nodes'), { timeout: 15_000 }).toBe(2)
    expect((await watcher.nextPublish()).payload.toString()).toBe('gone')
    const moved = await cluster.connect(1, { clientId, clean: false, properties: lasting })
    expect(moved.connack.sessionPresent).toBe(true)
    await publisher.publishAcknowledged(topic, '1', { qos: 1 })
    const received = await moved.nextPublish()
    expect(received.payload.toString()).toBe('1')
    await moved.acknowledge(received)

    cluster.signal(0, 'SIGCONT')
    expect(await mover.disconnectedByPeer()).toBeGreaterThanOrEqual(0x80)
    await stayer.closedByPeer()
    await expect(stayer.next('puback', ({ messageId }) => messageId === late)).rejects.toThrow()
    await expect.poll(() => cluster.ready(0), { timeout: 15_000 }).toBe(true)
    expect(await cluster.metric(0, 'openclaw_cluster_expulsions_total')).toBe(1)

    // It is one of them again.
    await expect.poll(() => cluster.metric(1, 'openclaw_cluster_nodes'), { timeout: 15_000 }).toBe(3)
    const here = await cluster.connect(0)
    await here.subscribe(topic, 1)
    await publisher.publishAcknowledged(topic, '2', { qos: 1 })
    expect((await here.nextPublish()).payload.toString()).toBe('2')
    const back = await cluster.connect(0, { clientId: unique('c'), properties: lasting })
    await back.publishAcknowledged(topic, '3', { qos: 1 })
    expect(await moved.nextPayloads(2)).toEqual(['2', '3'])
    // The will was published once, and the session of the client is where it went.
    await sleep(LEASE_SECONDS * 1000)
    expect(await watcher.settled()).toEqual([])
    expect(await moved.settled()).toEqual([])
    expect(cluster.node(0).running).toBe(true)
  })
})
