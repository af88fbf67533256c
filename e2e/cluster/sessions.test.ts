import { expect, test } from 'vitest'
import { useCluster } from '../harness/cluster.js'
import { unique, type TestGateway } from '../harness/gateway.js'
import { describeWith } from '../harness/programs.js'

const lasting = { sessionExpiryInterval: 600 }

describeWith('sessions that move between nodes', ['redis-server'], () => {
  const cluster = useCluster()
  const node = (index: number): TestGateway => cluster.nodes[index]!

  test.each([1, 2] as const)('[MQTT-3.1.2-5] a session is resumed on another node (QoS %i)', async (qos) => {
    const clientId = unique('c')
    const topic = unique('t')
    const first = await node(0).connect({ clientId, properties: lasting })
    await first.subscribe(topic, qos)
    await first.disconnect()
    const publisher = await node(1).connect()
    for (const payload of ['1', '2', '3']) await publisher.publishAcknowledged(topic, payload, { qos })
    const second = await node(2).connect({ clientId, clean: false, properties: lasting })
    expect(second.connack.sessionPresent).toBe(true)
    for (const payload of ['1', '2', '3']) {
      const publish = await second.nextPublish()
      expect(publish.payload.toString()).toBe(payload)
      await second.acknowledge(publish)
    }
    await publisher.publishAcknowledged(topic, '4', { qos })
    expect((await second.nextPublish()).payload.toString()).toBe('4')
  })

  test('[MQTT-4.4.0-1] what was sent and not acknowledged is sent again with its identifier and DUP', async () => {
    const clientId = unique('c')
    const topic = unique('t')
    const first = await node(0).connect({ clientId, properties: lasting })
    await first.subscribe(topic, 1)
    const publisher = await node(1).connect()
    await publisher.publishAcknowledged(topic, '1', { qos: 1 })
    const sent = await first.nextPublish()
    await first.abort()
    const second = await node(2).connect({ clientId, clean: false, properties: lasting })
    expect(await second.nextPublish()).toMatchObject({ messageId: sent.messageId, dup: true })
  })

  test('[MQTT-4.3.3-13] a QoS 2 exchange goes on with PUBREL on another node', async () => {
    const clientId = unique('c')
    const topic = unique('t')
    const first = await node(0).connect({ clientId, properties: lasting })
    await first.subscribe(topic, 2)
    const publisher = await node(1).connect()
    await publisher.publishAcknowledged(topic, 'x', { qos: 2 })
    const { messageId } = await first.nextPublish()
    first.send({ cmd: 'pubrec', messageId: messageId! })
    await first.next('pubrel')
    const second = await node(2).connect({ clientId, clean: false, properties: lasting })
    expect((await second.next('pubrel')).messageId).toBe(messageId)
    second.send({ cmd: 'pubcomp', messageId: messageId! })
    expect(await second.settled()).toEqual([])
  })

  test('[MQTT-4.3.3-10] a QoS 2 publish that is repeated on another node is published once', async () => {
    const clientId = unique('c')
    const topic = unique('t')
    const subscriber = await node(2).connect()
    await subscriber.subscribe(topic, 2)
    const first = await node(0).connect({ clientId, properties: lasting })
    const messageId = first.publish(topic, 'x', { qos: 2 })
    await first.next('pubrec')
    await first.abort()
    await subscriber.acknowledge(await subscriber.nextPublish())
    const second = await node(1).connect({ clientId, clean: false, properties: lasting })
    second.publish(topic, 'x', { qos: 2, messageId, dup: true })
    await second.next('pubrec')
    second.send({ cmd: 'pubrel', messageId })
    await second.next('pubcomp')
    expect(await subscriber.settled()).toEqual([])
  })

  test.each([
    ['with a lasting session', lasting, false],
    ['with a clean one', {}, true],
  ])('[MQTT-3.1.4-3] a connection to another node takes over, %s', async (_, properties, clean) => {
    const clientId = unique('c')
    const first = await node(0).connect({ clientId, clean, properties })
    const second = await node(1).connect({ clientId, clean, properties })
    expect(second.connack).toMatchObject({ reasonCode: 0, sessionPresent: !clean })
    expect(await first.disconnectedByPeer()).toBe(0x8e)
    const third = await node(2).connect({ clientId, clean, properties })
    expect(await second.disconnectedByPeer()).toBe(0x8e)
    expect(await third.settled()).toEqual([])
  })

  test('[MQTT-3.1.4-3] a crowd with one identifier on all nodes leaves one connection', async () => {
    const clientId = unique('c')
    const topic = unique('t')
    const crowd = await Promise.all(Array.from({ length: 12 }, (_, i) => node(i % 3).open()))
    for (const client of crowd) client.sendConnect({ clientId, clean: false, properties: lasting })
    const answers = await Promise.allSettled(crowd.map((client) => client.next('connack')))
    expect(answers.some(({ status }) => status === 'fulfilled')).toBe(true)
    await expect.poll(() => crowd.filter(({ open }) => open).length, { timeout: 5_000 }).toBe(1)
    const [left] = crowd.filter(({ open }) => open)
    await left!.subscribe(topic, 1)
    const publisher = await node(2).connect()
    await publisher.publishAcknowledged(topic, 'alone', { qos: 1 })
    expect((await left!.nextPublish()).payload.toString()).toBe('alone')
  })

  test('[MQTT-3.1.2-4] Clean Start on another node ends the session everywhere', async () => {
    const clientId = unique('c')
    const topic = unique('t')
    const first = await node(0).connect({ clientId, properties: lasting })
    await first.subscribe(topic, 1)
    const second = await node(1).connect({ clientId, clean: true, properties: lasting })
    expect(second.connack.sessionPresent).toBe(false)
    for (const each of cluster.nodes) {
      const publisher = await each.connect()
      const { reasonCode } = await publisher.publishAcknowledged(topic, 'x', { qos: 1 })
      expect(reasonCode).toBe(0x10)
    }
    expect(await second.settled()).toEqual([])
  })

  test('[MQTT-3.1.2-11] a session without subscriptions is found on another node', async () => {
    const clientId = unique('c')
    await (await node(0).connect({ clientId, properties: lasting })).disconnect()
    const second = await node(1).connect({ clientId, clean: false })
    expect(second.connack.sessionPresent).toBe(true)
    await second.disconnect()
    expect((await node(2).connect({ clientId, clean: false })).connack.sessionPresent).toBe(false)
  })

  test('a session that ends with its connection is not found where the client comes back', async () => {
    const clientId = unique('c')
    const topic = unique('t')
    await (await node(0).connect({ clientId, properties: lasting })).disconnect()
    const first = await node(0).connect({ clientId, clean: false, properties: { sessionExpiryInterval: 0 } })
    await first.subscribe(topic, 1)
    const second = await node(1).connect({ clientId, clean: false, properties: lasting })
    expect(second.connack.sessionPresent).toBe(false)
    const publisher = await node(2).connect()
    expect((await publisher.publishAcknowledged(topic, 'x', { qos: 1 })).reasonCode).toBe(0x10)
  })

  test('subscriptions that are changed while a session moves are known to every node', async () => {
    const clientId = unique('c')
    const topics = Array.from({ length: 9 }, () => unique('t'))
    for (const [i, topic] of topics.entries()) {
      const client = await node(i % 3).connect({ clientId, clean: false, properties: lasting })
      await client.subscribe(topic, 1)
      if (i % 2 === 1) await client.unsubscribe(topics[i - 1]!)
    }
    const client = await node(0).connect({ clientId, clean: false, properties: lasting })
    const expected = topics.filter((_, i) => i % 2 === 1 || i === 8)
    for (const each of cluster.nodes) {
      const publisher = await each.connect()
      for (const topic of topics) await publisher.publishAcknowledged(topic, topic, { qos: 1 })
      expect((await client.nextPayloads(expected.length)).sort()).toEqual([...expected].sort())
    }
    expect(await client.settled()).toEqual([])
  })

  test('session expiry is carried out, whoever was the last node of the client', async () => {
    const clientId = unique('c')
    const topic = unique('t')
    const properties = { sessionExpiryInterval: 1 }
    const client = await node(0).connect({ clientId, properties })
    await client.subscribe(topic, 1)
    await client.disconnect()
    const publisher = await node(1).connect()
    const reaches = async (): Promise<boolean> =>
      (await publisher.publishAcknowledged(topic, 'x', { qos: 1 })).reasonCode === 0
    expect(await reaches()).toBe(true)
    await expect.poll(reaches, { timeout: 10_000 }).toBe(false)
    const back = await node(2).connect({ clientId, clean: false, properties })
    expect(back.connack.sessionPresent).toBe(false)
  })
})
