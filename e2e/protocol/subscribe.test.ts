import { describe, expect, test } from 'vitest'
import { unique, useGateway } from '../harness/gateway.js'
import { field, packetOf, uint16 } from '../harness/packet-bytes.js'

const gateway = useGateway({
  access: {
    rules: [
      { deny: 'subscribe', topics: ['secret/#'] },
      { allow: 'both', topics: ['#'] },
    ],
  },
  limits: { subscriptionsPerClient: 5, topicLevels: 8 },
})

describe('SUBSCRIBE', () => {
  test('[MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-2.2.1-6] is answered by SUBACK with its identifier', async () => {
    const client = await gateway.connect()
    client.send({ cmd: 'subscribe', messageId: 999, subscriptions: [{ topic: 'a', qos: 1 }] })
    expect(await client.next('suback')).toMatchObject({ messageId: 999, granted: [1] })
  })

  test('[MQTT-3.8.4-5] [MQTT-3.8.4-6] [MQTT-3.8.4-7] [MQTT-3.9.3-1] [MQTT-3.9.3-2] each filter has its code, in order', async () => {
    const client = await gateway.connect()
    const codes = await client.subscribe([
      { topic: 'a', qos: 2 },
      { topic: 'secret/x', qos: 1 },
      { topic: 'b#', qos: 1 },
      { topic: 'c', qos: 0 },
      { topic: '1/2/3/4/5/6/7/8/9', qos: 0 },
      { topic: 'd/+', qos: 1 },
    ])
    expect(codes).toEqual([2, 0x87, 0x8f, 0, 0x8f, 1])
  })

  test('[MQTT-3.9.3-2] above the number of subscriptions a client may have the code is 0x97', async () => {
    const client = await gateway.connect()
    const topics = ['a', 'b', 'c', 'd', 'e', 'f'].map((topic) => ({ topic }))
    expect(await client.subscribe(topics)).toEqual([0, 0, 0, 0, 0, 0x97])
    expect(await client.subscribe('a', 1)).toEqual([1])
  })

  test('[MQTT-3.8.4-3] the same filter replaces the subscription', async () => {
    const topic = unique('t')
    const client = await gateway.connect()
    await client.subscribe(topic, 0)
    await client.subscribe(topic, 1)
    await client.publishAcknowledged(topic, 'x', { qos: 1 })
    const packets = await client.settled()
    expect(packets).toMatchObject([{ cmd: 'publish', qos: 1 }])
  })

  test('[MQTT-3.8.4-4] nothing is lost while a subscription is replaced', async () => {
    const topic = unique('t')
    const subscriber = await gateway.connect()
    await subscriber.subscribe(topic, 1)
    const publisher = await gateway.connect()
    for (let i = 0; i < 50; i++) {
      publisher.publish(topic, `${i}`, { qos: 1 })
      if (i % 10 === 0)
        subscriber.send({ cmd: 'subscribe', messageId: 1000 + i, subscriptions: [{ topic, qos: 1 }] })
    }
    expect(await subscriber.nextPayloads(50)).toEqual(Array.from({ length: 50 }, (_, i) => `${i}`))
  })

  test('[MQTT-3.8.4-5] the same filter twice in one packet counts as one subscription, the later one', async () => {
    const topic = unique('t')
    const client = await gateway.connect()
    expect(
      await client.subscribe([
        { topic, qos: 0 },
        { topic, qos: 2 },
      ]),
    ).toEqual([0, 2])
    client.publish(topic, 'x', { qos: 1 })
    expect(await client.nextPublish()).toMatchObject({ qos: 1 })
    expect((await client.settled()).filter(({ cmd }) => cmd === 'publish')).toEqual([])
  })

  test('[MQTT-3.3.4-2] filters that overlap bring one copy with the highest QoS', async () => {
    const topic = unique('t')
    const client = await gateway.connect()
    await client.subscribe([
      { topic: `${topic}/#`, qos: 0 },
      { topic: `${topic}/+`, qos: 2 },
      { topic: `${topic}/a`, qos: 1 },
    ])
    const publisher = await gateway.connect()
    await publisher.publishAcknowledged(`${topic}/a`, 'x', { qos: 2 })
    expect(await client.settled()).toMatchObject([{ cmd: 'publish', qos: 2 }])
  })

  test('[MQTT-3.8.1-1] [MQTT-3.8.3-1] [MQTT-3.8.3-2] [MQTT-3.8.3-5] that is malformed ends the connection', async () => {
    const filter = field('a')
    const cases: [Buffer, number][] = [
      [packetOf(0x80, uint16(1), [0], filter, [0]), 0x81],
      [packetOf(0x82, uint16(1), [0], field(Buffer.from([0xc0, 0x80])), [0]), 0x81],
      [packetOf(0x82, uint16(1), [0]), 0x82],
      [packetOf(0x82, uint16(1), [0], filter, [0x40]), 0x81],
      [packetOf(0x82, uint16(1), [0], filter, [0x03]), 0x82],
      [packetOf(0x82, uint16(0), [0], filter, [0]), 0x82],
    ]
    for (const [bytes, reasonCode] of cases) {
      const client = await gateway.connect()
      client.write(bytes)
      expect(await client.disconnectedByPeer()).toBe(reasonCode)
    }
  })

  test.each([
    '',
    'a#',
    '#/a',
    'a/#/b',
    'a+',
    '+a',
    'a/b+/c',
    '$share/',
    '$share//a',
    '$share/g',
    '$share/g/',
    '$share/g+/a',
    '$share/#/a',
    '$share/g/a#',
  ])(
    '[MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.7.3-1] [MQTT-4.8.2-1] [MQTT-4.8.2-2] the filter %j is refused with 0x8F',
    async (filter) => {
      const client = await gateway.connect()
      const codes = await client.subscribe(filter)
      expect(codes).toEqual([0x8f])
    },
  )
})

describe('UNSUBSCRIBE', () => {
  test('[MQTT-3.10.4-4] [MQTT-3.10.4-5] [MQTT-3.11.3-1] [MQTT-3.11.3-2] [MQTT-2.2.1-6] is answered by UNSUBACK with a code for each filter', async () => {
    const client = await gateway.connect()
    await client.subscribe([{ topic: 'a' }, { topic: 'b/#' }])
    client.send({ cmd: 'unsubscribe', messageId: 77, unsubscriptions: ['a', 'c', 'b/#'] })
    expect(await client.next('unsuback')).toMatchObject({ messageId: 77, granted: [0, 0x11, 0] })
  })

  test('[MQTT-3.10.4-6] the same filter twice in one packet is there once', async () => {
    const client = await gateway.connect()
    await client.subscribe('a')
    expect(await client.unsubscribe('a', 'a')).toEqual([0, 0x11])
  })

  test('[MQTT-3.10.4-1] filters are compared character by character', async () => {
    const topic = unique('t')
    const client = await gateway.connect()
    await client.subscribe([{ topic: `${topic}/#` }, { topic: `${topic}/A` }])
    expect(await client.unsubscribe(`${topic}/a`, `${topic}/+`)).toEqual([0x11, 0x11])
    expect(await client.unsubscribe(`${topic}/#`)).toEqual([0])
    client.publish(`${topic}/A`, 'still')
    client.publish(`${topic}/b`, 'gone')
    const packets = await client.settled()
    expect(packets).toMatchObject([{ topic: `${topic}/A` }])
  })

  test('[MQTT-3.10.4-2] new messages stay away after UNSUBACK', async () => {
    const topic = unique('t')
    const client = await gateway.connect()
    await client.subscribe(topic, 1)
    await client.unsubscribe(topic)
    const publisher = await gateway.connect()
    expect((await publisher.publishAcknowledged(topic, 'x', { qos: 1 })).reasonCode).toBe(0x10)
    expect(await client.settled()).toEqual([])
  })

  test('[MQTT-3.10.4-3] deliveries that have begun are completed', async () => {
    const topic = unique('t')
    const clientId = unique('c')
    const first = await gateway.connect({ clientId, properties: { sessionExpiryInterval: 60 } })
    await first.subscribe(topic, 2)
    for (const qos of [1, 2] as const) {
      first.publish(topic, `${qos}`, { qos })
      await first.nextPublish()
    }
    await first.unsubscribe(topic)
    await first.abort()
    const second = await gateway.connect({ clientId, clean: false })
    const one = await second.nextPublish()
    const two = await second.nextPublish()
    expect([one.payload.toString(), two.payload.toString()]).toEqual(['1', '2'])
    await second.acknowledge(one)
    await second.acknowledge(two)
  })

  test('[MQTT-3.10.1-1] [MQTT-3.10.3-1] [MQTT-3.10.3-2] that is malformed ends the connection', async () => {
    const cases: [Buffer, number][] = [
      [packetOf(0xa0, uint16(1), [0], field('a')), 0x81],
      [packetOf(0xa2, uint16(1), [0], field(Buffer.from([0xff]))), 0x81],
      [packetOf(0xa2, uint16(1), [0]), 0x82],
    ]
    for (const [bytes, reasonCode] of cases) {
      const client = await gateway.connect()
      client.write(bytes)
      expect(await client.disconnectedByPeer()).toBe(reasonCode)
    }
  })
})
