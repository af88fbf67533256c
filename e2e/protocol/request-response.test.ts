import { describe, expect, test } from 'vitest'
import { unique, useGateway } from '../harness/gateway.js'
import { field, packetOf, properties } from '../harness/packet-bytes.js'

const gateway = useGateway({ session: { responseInformation: 'answers/${clientId}' } })

describe('Response Information', () => {
  test('[MQTT-3.1.2-28] is told to a client that asks for it, and to no other', async () => {
    const clientId = unique('c')
    const asking = await gateway.connect({ clientId, properties: { requestResponseInformation: true } })
    expect(asking.connack.properties?.responseInformation).toBe(`answers/${clientId}`)
    for (const options of [{}, { properties: { requestResponseInformation: false } }]) {
      const { connack } = await gateway.connect(options)
      expect(connack.properties).not.toHaveProperty('responseInformation')
    }
  })
})

describe('properties of a message', () => {
  const sent = {
    payloadFormatIndicator: true,
    contentType: 'application/json',
    responseTopic: 'answers/über/here',
    correlationData: Buffer.from([0, 255, 1, 254]),
  }

  test('[MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-20] reach every subscriber unaltered', async () => {
    const topic = unique('t')
    const subscribers = [await gateway.connect(), await gateway.connect(), await gateway.connect()]
    for (const [qos, subscriber] of subscribers.entries()) await subscriber.subscribe(topic, qos as 0 | 1 | 2)
    const publisher = await gateway.connect()
    publisher.publish(topic, '{}', { qos: 2, properties: sent })
    for (const subscriber of subscribers)
      expect((await subscriber.nextPublish()).properties).toMatchObject(sent)
  })

  test('[MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-20] so do those of queued and retained messages', async () => {
    const topic = unique('t')
    const clientId = unique('c')
    const lasting = { sessionExpiryInterval: 60 }
    const first = await gateway.connect({ clientId, properties: lasting })
    await first.subscribe(topic, 1)
    await first.disconnect()
    const publisher = await gateway.connect()
    await publisher.publishAcknowledged(topic, '{}', { qos: 1, retain: true, properties: sent })
    const second = await gateway.connect({ clientId, clean: false })
    expect((await second.nextPublish()).properties).toMatchObject(sent)
    const late = await gateway.connect()
    await late.subscribe(topic)
    expect((await late.nextPublish()).properties).toMatchObject(sent)
  })

  test('an MQTT 3.1.1 subscriber gets the message without them, and what it publishes has none', async () => {
    const topic = unique('t')
    const old = await gateway.connect({ protocolVersion: 4 })
    await old.subscribe(topic)
    const client = await gateway.connect()
    await client.subscribe(topic)
    client.publish(topic, '{}', { properties: sent })
    expect((await old.nextPublish()).payload.toString()).toBe('{}')
    await client.nextPublish()
    old.publish(topic, 'plain')
    expect((await client.nextPublish()).properties ?? {}).toEqual({})
  })

  test.each(['', 'a/+', '#'])(
    '[MQTT-3.3.2-14] the Response Topic %j ends the connection',
    async (responseTopic) => {
      const client = await gateway.connect()
      client.write(packetOf(0x30, field('t'), properties([0x08], field(responseTopic))))
      expect(await client.disconnectedByPeer()).toBe(0x82)
    },
  )

  test('[MQTT-3.3.2-13] [MQTT-3.3.2-19] texts that are not UTF-8 are malformed', async () => {
    for (const identifier of [0x08, 0x03]) {
      const client = await gateway.connect()
      client.write(packetOf(0x30, field('t'), properties([identifier], field(Buffer.from([0xff, 0xfe])))))
      expect(await client.disconnectedByPeer()).toBe(0x81)
    }
  })
})

describe('User Properties', () => {
  const pairs = [
    ['b', '1'],
    ['a', '2'],
    ['b', '3'],
    ['', ''],
    ['a', '1'],
    ['__proto__', 'constructor'],
  ] as const
  const block = Buffer.concat(
    pairs.map(([name, value]) => Buffer.concat([Buffer.from([0x26]), field(name), field(value)])),
  )

  test('[MQTT-3.3.2-17] [MQTT-3.3.2-18] are forwarded unaltered, all of them, in order', async () => {
    const topic = unique('t')
    const client = await gateway.connect()
    await client.subscribe(topic)
    client.bytes.length = 0
    const bytes = packetOf(0x30, field(topic), properties(block), Buffer.from('x'))
    client.write(bytes)
    await client.nextPublish()
    expect(Buffer.concat(client.bytes)).toEqual(bytes)
  })

  test('[MQTT-3.3.2-18] the order outlives the queue', async () => {
    const topic = unique('t')
    const clientId = unique('c')
    const first = await gateway.connect({ clientId, properties: { sessionExpiryInterval: 60 } })
    await first.subscribe(topic, 1)
    await first.disconnect()
    const publisher = await gateway.connect()
    publisher.write(packetOf(0x32, field(topic), [0, 1], properties(block), Buffer.from('x')))
    await publisher.next('puback')
    const second = await gateway.connect({ clientId, clean: false })
    await second.nextPublish()
    expect(Buffer.concat(second.bytes).includes(block)).toBe(true)
  })

  test('[MQTT-3.1.3-10] those of a will keep their order', async () => {
    const topic = unique('will')
    const watcher = await gateway.connect()
    await watcher.subscribe(topic)
    watcher.bytes.length = 0
    const client = await gateway.open()
    const flags = 0x02 | 0x04
    client.write(
      packetOf(
        0x10,
        field('MQTT'),
        [5, flags, 0, 0],
        properties(),
        field(unique('c')),
        properties(block),
        field(topic),
        field('gone'),
      ),
    )
    await client.next('connack')
    await client.abort()
    await watcher.nextPublish()
    expect(Buffer.concat(watcher.bytes)).toEqual(
      packetOf(0x30, field(topic), properties(block), Buffer.from('gone')),
    )
  })

  test('[MQTT-1.5.7-1] a pair that is not UTF-8 is malformed', async () => {
    const client = await gateway.connect()
    client.write(
      packetOf(0x30, field('t'), properties([0x26], field('a'), field(Buffer.from([0xed, 0xa0, 0x80])))),
    )
    expect(await client.disconnectedByPeer()).toBe(0x81)
  })

  test('on other packets are read and do no harm', async () => {
    const userProperties = { constructor: 'x', __proto__: ['1', '2'] }
    const client = await gateway.connect({ properties: { userProperties } })
    expect(client.connack.reasonCode).toBe(0)
    expect(await client.subscribe('a', 0, { userProperties })).toEqual([0])
    await client.disconnect(0, { userProperties })
  })
})

describe('Request Problem Information', () => {
  test('[MQTT-3.1.2-29] 0 keeps reason strings and user properties away from acknowledgements', async () => {
    const client = await gateway.connect({ properties: { requestProblemInformation: false } })
    client.send({ cmd: 'pubrel', messageId: 5 })
    const pubcomp = await client.next('pubcomp')
    expect(pubcomp.properties?.reasonString).toBeUndefined()
    await client.subscribe('a#')
    const puback = await client.publishAcknowledged(`${'x/'.repeat(60)}x`, '', { qos: 1 })
    expect(puback.reasonCode).toBe(0x90)
    expect(puback.properties?.reasonString).toBeUndefined()
  })
})
