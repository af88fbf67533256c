import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { useClusterProcesses } from '../harness/cluster-processes.js'
import { keysOf, LEASE_SECONDS, useCluster } from '../harness/cluster.js'
import { unique } from '../harness/gateway.js'
import { describeWith } from '../harness/programs.js'
import { RawClient } from '../harness/raw-client.js'

const lasting = { sessionExpiryInterval: 600 }

describeWith('a Redis that is killed and comes back with its data', ['redis-server'], () => {
  const cluster = useClusterProcesses({
    redis: ['--appendonly', 'yes', '--appendfsync', 'always'],
    config: { limits: { connectTimeoutSeconds: 1 } },
  })

  test('loses nothing that was acknowledged; clients stay, and QoS 0 on a node goes on', async () => {
    const topic = unique('t')
    const local = unique('local')
    const offline = unique('offline')
    const away = await cluster.connect(2, { clientId: offline, properties: lasting })
    await away.subscribe(topic, 1)
    await away.disconnect()
    const receivers: RawClient[] = []
    for (let i = 0; i < 3; i++) {
      const client = await cluster.connect(i, { properties: lasting, keepalive: 1 })
      await client.subscribe(topic, 1)
      receivers.push(client)
    }
    const pings = setInterval(() => {
      for (const client of receivers) client.send({ cmd: 'pingreq' })
    }, 400)
    const listener = await cluster.connect(0)
    await listener.subscribe(local)
    const publisher = await cluster.connect(1)
    const acknowledged = new Set<string>()
    let sent = 0
    const publishOne = async (): Promise<void> => {
      const payload = `${sent++}`
      await publisher.publishAcknowledged(topic, payload, { qos: 1 })
      acknowledged.add(payload)
    }
    for (let i = 0; i < 50; i++) await publishOne()

    await cluster.redis.kill()
    const underWay = publisher.publish(topic, 'under way', { qos: 1 })
    // Longer than the lease: nobody is to be taken for dead over it.
    await expect.poll(() => cluster.ready(0), { timeout: 10_000 }).toBe(false)
    const other = await RawClient.open(cluster.node(0).ports.mqtt)
    other.sendConnect({ clientId: unique('c') })
    expect((await other.next('connack')).reasonCode).toBe(0x88)
    const older = await RawClient.open(cluster.node(0).ports.mqtt, 4)
    older.sendConnect({ clientId: unique('c') })
    expect((await older.next('connack')).returnCode).toBe(3)
    listener.publish(local, 'still here')
    expect((await listener.nextPublish()).payload.toString()).toBe('still here')
    await sleep(LEASE_SECONDS * 1000 * 2)
    await cluster.redis.start()

    await publisher.next('puback', ({ messageId }) => messageId === underWay)
    acknowledged.add('under way')
    for (let i = 0; i < 50; i++) await publishOne()
    for (const client of receivers) {
      const received = new Set<string>()
      while (received.size < acknowledged.size) {
        const publish = await client.nextPublish()
        received.add(publish.payload.toString())
        await client.acknowledge(publish)
      }
      expect(received).toEqual(acknowledged)
      expect(client.open).toBe(true)
    }
    clearInterval(pings)
    const back = await cluster.connect(0, { clientId: offline, clean: false, properties: lasting })
    const queued = new Set<string>()
    while (queued.size < acknowledged.size) {
      const publish = await back.nextPublish()
      queued.add(publish.payload.toString())
      await back.acknowledge(publish)
    }
    expect(queued).toEqual(acknowledged)
    for (let i = 0; i < 3; i++) {
      await expect.poll(() => cluster.ready(i), { timeout: 10_000 }).toBe(true)
      expect(await cluster.metric(i, 'openclaw_cluster_expulsions_total')).toBe(0)
      expect(await cluster.metric(i, 'openclaw_cluster_nodes')).toBe(3)
    }
  })
})

describeWith('a Redis that does not answer', ['redis-server'], () => {
  const cluster = useCluster({ nodes: 1, config: { limits: { connectTimeoutSeconds: 1 } } })

  test('takes nobody the connection that is there for one that cannot be accepted', async () => {
    const node = cluster.nodes[0]!
    const [redis] = cluster.servers
    const clientId = unique('c')
    const topic = unique('t')
    const client = await node.connect({ clientId, properties: lasting })
    await client.subscribe(topic, 1)
    redis!.pause()
    const second = await node.open()
    second.sendConnect({ clientId, clean: false, properties: lasting })
    expect((await second.next('connack')).reasonCode).toBe(0x88)
    await second.closedByPeer()
    redis!.resume()
    await client.publishAcknowledged(topic, 'still here', { qos: 1 })
    expect((await client.nextPublish()).payload.toString()).toBe('still here')
    // The claim that was under way is its own now, and goes with it.
    const third = await node.connect({ clientId, clean: false, properties: lasting })
    expect(third.connack.sessionPresent).toBe(true)
    expect(await client.disconnectedByPeer()).toBe(0x8e)
    await third.disconnect(0, { sessionExpiryInterval: 0 })
    const claims = async () => (await keysOf(cluster.servers)).filter((key) => /:claims$|:ids:/.test(key))
    await expect.poll(claims).toEqual([])
    for (const each of cluster.nodes) each.log.length = 0
  })
})
