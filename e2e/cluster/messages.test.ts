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

  test('[MQTT-3.3.1-5] [MQTT-3.3.1-6] retained messages are found, replaced and removed on every node', async () => {
    const topic = unique('t')
    for (const [i, node] of cluster.nodes.entries()) {
      const publisher = await node.connect()
      await publisher.publishAcknowledged(topic, `${i}`, { qos: 1, retain: true })
      for (const other of cluster.nodes) {
        const client = await other.connect()
        await client.subscribe(topic)
        expect(await client.nextPublish()).toMatchObject({ retain: true, payload: Buffer.from(`${i}`) })
      }
    }
    const publisher = await cluster.nodes[1]!.connect()
    await publisher.publishAcknowledged(topic, '', { qos: 1, retain: true })
    for (const other of cluster.nodes) {
      const client = await other.connect()
      await client.subscribe(topic)
      expect(await client.settled()).toEqual([])
    }
  })

  test('[MQTT-3.3.4-2] overlapping filters get one copy, with all their identifiers [MQTT-3.3.4-4]', async () => {
    const topic = unique('t')
    const publisher = await cluster.nodes[0]!.connect()
    const client = await cluster.nodes[1]!.connect()
    await client.subscribe(`${topic}/+`, 0, { subscriptionIdentifier: 1 })
    await client.subscribe(`${topic}/#`, 1, { subscriptionIdentifier: 2 })
    await client.subscribe(`${topic}/x`, 2, { subscriptionIdentifier: 3 })
    await publisher.publishAcknowledged(`${topic}/x`, 'x', { qos: 2 })
    const publish = await client.nextPublish()
    expect(publish.qos).toBe(2)
    expect([publish.properties?.subscriptionIdentifier].flat().sort()).toEqual([1, 2, 3])
    expect(await client.settled()).toEqual([])
  })

  test('[MQTT-3.8.3-3] No Local holds for a publisher whose session has moved', async () => {
    const clientId = unique('c')
    const topic = unique('t')
    const first = await cluster.nodes[0]!.connect({ clientId, properties: lasting })
    await first.subscribe([{ topic, nl: true }], 1)
    const second = await cluster.nodes[1]!.connect({ clientId, clean: false, properties: lasting })
    await second.publishAcknowledged(topic, 'own', { qos: 1 })
    const other = await cluster.nodes[0]!.connect()
    await other.publishAcknowledged(topic, 'other', { qos: 1 })
    expect(await second.nextPayloads(1)).toEqual(['other'])
  })

  test('[MQTT-3.3.1-13] Retain As Published is kept between nodes', async () => {
    const topic = unique('t')
    const publisher = await cluster.nodes[0]!.connect()
    for (const properties of [{}, lasting]) {
      const client = await cluster.nodes[1]!.connect({ properties })
      await client.subscribe([{ topic, rap: true, rh: 2 }], 1)
      publisher.publish(topic, 'kept', { retain: true })
      expect((await client.nextPublish()).retain).toBe(true)
      await publisher.publishAcknowledged(topic, 'kept', { qos: 1, retain: true })
      expect((await client.nextPublish()).retain).toBe(true)
      await client.disconnect()
    }
    await publisher.publishAcknowledged(topic, '', { qos: 1, retain: true })
  })

  test.each([0, 1] as const)(
    '[MQTT-3.3.2-15] [MQTT-3.3.2-17] properties arrive as they were sent (QoS %i)',
    async (qos) => {
      const topic = unique('t')
      const properties = {
        payloadFormatIndicator: true,
        contentType: 'text/plain',
        responseTopic: 'answers',
        correlationData: Buffer.from([0, 1, 2]),
        userProperties: { a: ['1', '2'], b: '3' },
      }
      for (const session of [{}, lasting]) {
        const client = await cluster.nodes[2]!.connect({ properties: session })
        await client.subscribe(topic, qos)
        const publisher = await cluster.nodes[1]!.connect()
        publisher.publish(topic, 'x', { qos, properties: { ...properties, messageExpiryInterval: 100 } })
        const received = await client.nextPublish()
        expect(received.properties).toMatchObject(properties)
        expect(received.properties?.messageExpiryInterval).toBeGreaterThan(95)
      }
    },
  )

  test('[MQTT-4.6.0-5] messages of a publisher keep their order on the way to another node', async () => {
    const topic = unique('t')
    const clients = []
    for (const properties of [{}, lasting]) {
      const client = await cluster.nodes[1]!.connect({ properties })
      await client.subscribe(topic, 2)
      clients.push(client)
    }
    const publisher = await cluster.nodes[0]!.connect()
    const sent = Array.from({ length: 200 }, (_, i) => `${i}`)
    for (const payload of sent) publisher.publish(topic, payload, { qos: 1 })
    for (const client of clients) {
      const received = []
      while (received.length < sent.length) {
        const publish = await client.nextPublish()
        received.push(publish.payload.toString())
        await client.acknowledge(publish)
      }
      expect(received).toEqual(sent)
    }
  })

  test('a message that is published anywhere after the SUBACK arrives', async () => {
    const publishers = await Promise.all(cluster.nodes.map((node) => node.connect()))
    for (let round = 0; round < 20; round++) {
      const topic = unique('t')
      const properties = round % 2 === 0 ? {} : lasting
      const client = await cluster.nodes[round % 3]!.connect({ properties })
      await client.subscribe(topic, 1)
      for (const [i, publisher] of publishers.entries())
        publisher.publish(topic, `${i}`, { qos: i === 1 ? 1 : 0 })
      expect((await client.nextPayloads(3)).sort()).toEqual(['0', '1', '2'])
      await client.disconnect(0, round % 2 === 0 ? undefined : { sessionExpiryInterval: 0 })
    }
  })

  test('an embedding program gets what is published on another node, and the other way round', async () => {
    const topic = unique('t')
    const received: string[] = []
    const { broker } = cluster.nodes[0]!.running
    await new Promise<void>((resolve) =>
      broker.subscribe(
        topic,
        (packet, done) => {
          received.push(`${String(packet.payload)} of ${(packet as { clientId?: string }).clientId ?? ''}`)
          done()
        },
        resolve,
      ),
    )
    const clientId = unique('c')
    const client = await cluster.nodes[1]!.connect({ clientId })
    await client.subscribe(topic)
    client.publish(topic, 'x')
    expect((await client.nextPublish()).payload.toString()).toBe('x')
    await expect.poll(() => received).toEqual([`x of ${clientId}`])
    broker.publish(
      { cmd: 'publish', topic, payload: 'y', qos: 1, retain: false, dup: false },
      (error) => error && received.push(String(error)),
    )
    expect((await client.nextPublish()).payload.toString()).toBe('y')
    await expect.poll(() => received).toEqual([`x of ${clientId}`, 'y of '])
  })
})
