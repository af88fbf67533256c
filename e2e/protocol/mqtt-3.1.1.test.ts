import { describe, expect, test } from 'vitest'
import { unique, useGateway } from '../harness/gateway.js'
import { field, packetOf, uint16 } from '../harness/packet-bytes.js'
import type { ConnectOptions } from '../harness/raw-client.js'

const gateway = useGateway({
  access: {
    rules: [
      { deny: 'both', topics: ['denied/#'] },
      { allow: 'both', topics: ['#'] },
    ],
  },
})

function connect(options: ConnectOptions = {}) {
  return gateway.connect({ protocolVersion: 4, ...options })
}

/** CONNECT with Clean Session 0 and an empty identifier. */
const NAMELESS = packetOf(0x10, field('MQTT'), [4, 0, 0, 0], field(''))

describe('CONNECT and CONNACK', () => {
  test('[MQTT-3.1.1/3.2.0-1] [MQTT-3.1.1/3.2.2-1] CONNACK has two bytes and comes first', async () => {
    const client = await connect()
    expect(Buffer.concat(client.bytes)).toEqual(Buffer.from([0x20, 2, 0, 0]))
  })

  test('[MQTT-3.1.1/3.1.2-4] [MQTT-3.1.1/3.2.2-2] [MQTT-3.1.1/3.2.2-3] [MQTT-3.1.1/4.1.0-1] Clean Session 0 keeps the session over connections', async () => {
    const clientId = unique('c')
    const topic = unique('t')
    const first = await connect({ clientId, clean: false })
    expect(first.connack.sessionPresent).toBe(false)
    await first.subscribe(topic, 1)
    await first.disconnect()
    gateway.clock.skip(86_400 * 365)
    const publisher = await connect()
    await publisher.publishAcknowledged(topic, 'queued', { qos: 1 })
    const second = await connect({ clientId, clean: false })
    expect(second.connack.sessionPresent).toBe(true)
    expect(await second.nextPayloads(1)).toEqual(['queued'])
  })

  test('[MQTT-3.1.1/3.1.2-6] Clean Session 1 discards it, and leaves none behind', async () => {
    const clientId = unique('c')
    const first = await connect({ clientId, clean: false })
    await first.subscribe(unique('t'), 1)
    await first.disconnect()
    expect((await connect({ clientId, clean: true })).connack.sessionPresent).toBe(false)
    expect((await connect({ clientId, clean: false })).connack.sessionPresent).toBe(false)
  })

  test('[MQTT-3.1.1/3.1.3-6] [MQTT-3.1.1/3.1.3-7] an empty identifier goes with Clean Session 1', async () => {
    const one = await connect({ clientId: '', clean: true })
    const two = await connect({ clientId: '', clean: true })
    expect([one.connack.returnCode, two.connack.returnCode]).toEqual([0, 0])
    expect(await one.settled()).toEqual([])
  })

  test('[MQTT-3.1.1/3.1.3-8] [MQTT-3.1.1/3.2.2-4] an empty identifier with Clean Session 0 is return code 2', async () => {
    const client = await gateway.open(4)
    client.write(NAMELESS)
    expect(await client.next('connack')).toMatchObject({ returnCode: 2, sessionPresent: false })
    await client.closedByPeer()
  })

  test('[MQTT-3.1.1/3.2.2-5] not authorised is return code 5', async () => {
    const client = await connect({ will: { topic: 'denied/x', payload: '' } })
    expect(client.connack.returnCode).toBe(5)
    await client.closedByPeer()
  })

  test('[MQTT-3.1.1/3.2.2-6] where no return code fits the connection is closed without CONNACK', async () => {
    const client = await gateway.open(4)
    client.sendConnect({ will: { topic: 'a/#', payload: '' } })
    expect(await client.remainder()).toEqual([])
  })

  test('[MQTT-3.1.1/3.1.0-2] a second CONNECT ends the connection', async () => {
    const client = await connect()
    client.sendConnect({ clientId: unique('c') })
    expect(await client.remainder()).toEqual([])
  })

  test('[MQTT-3.1.1/3.1.2-24] silence of one and a half times Keep Alive ends the connection', async () => {
    const client = await connect({ keepalive: 10 })
    gateway.clock.skip(14)
    expect(await client.settled()).toEqual([])
    gateway.clock.skip(16)
    expect(await client.remainder()).toEqual([])
  })

  test('[MQTT-3.1.1/3.1.4-5] packets behind a refused CONNECT are not processed', async () => {
    const topic = unique('t')
    const watcher = await connect()
    await watcher.subscribe(topic)
    const client = await gateway.open(4)
    client.write(NAMELESS)
    client.publish(topic, 'x')
    await client.closedByPeer()
    expect(await watcher.settled()).toEqual([])
  })
})

describe('wills', () => {
  test.each([true, false])(
    '[MQTT-3.1.1/3.1.2-8] [MQTT-3.1.1/3.1.2-16] [MQTT-3.1.1/3.1.2-17] are published when the connection breaks (retain %s)',
    async (retain) => {
      const topic = unique('will')
      const watcher = await connect()
      await watcher.subscribe(topic, 1)
      const client = await connect({ will: { topic, payload: 'gone', qos: 1, retain } })
      await client.abort()
      expect(await watcher.nextPublish()).toMatchObject({ qos: 1, retain: false })
      const late = await connect()
      await late.subscribe(topic)
      expect(await late.settled()).toHaveLength(retain ? 1 : 0)
    },
  )

  test('[MQTT-3.1.1/3.1.2-10] [MQTT-3.1.1/3.14.4-3] DISCONNECT discards them', async () => {
    const topic = unique('will')
    const watcher = await connect()
    await watcher.subscribe(topic)
    const client = await connect({ will: { topic, payload: 'gone' } })
    await client.disconnect()
    await connect()
    expect(await watcher.settled()).toEqual([])
  })
})

describe('PUBLISH', () => {
  test('[MQTT-3.1.1/4.3.1-1] [MQTT-3.1.1/3.3.1-9] QoS 0 and RETAIN 0 towards an existing subscription', async () => {
    const topic = unique('t')
    const client = await connect()
    await client.subscribe(topic, 2)
    client.bytes.length = 0
    client.publish(topic, 'x', { retain: true })
    await client.nextPublish()
    expect(Buffer.concat(client.bytes)).toEqual(packetOf(0x30, field(topic), Buffer.from('x')))
  })

  test('[MQTT-3.1.1/4.3.2-2] [MQTT-3.1.1/3.3.4-1] QoS 1 is answered by PUBACK of four bytes', async () => {
    const client = await connect()
    client.bytes.length = 0
    client.publish(unique('t'), 'x', { qos: 1, messageId: 258 })
    await client.next('puback')
    expect(Buffer.concat(client.bytes)).toEqual(Buffer.from([0x40, 2, 1, 2]))
  })

  test('[MQTT-3.1.1/4.3.3-2] QoS 2 is delivered once, however often it is sent before PUBREL', async () => {
    const topic = unique('t')
    const subscriber = await connect()
    await subscriber.subscribe(topic)
    const client = await connect()
    for (const dup of [false, true]) {
      client.publish(topic, 'x', { qos: 2, messageId: 1, dup })
      await client.next('pubrec')
    }
    client.send({ cmd: 'pubrel', messageId: 1 })
    await client.next('pubcomp')
    expect(await subscriber.settled()).toHaveLength(1)
  })

  test.each([1, 2] as const)(
    '[MQTT-3.1.1/3.3.5-2] one that is denied is acknowledged and not delivered (QoS %i)',
    async (qos) => {
      const client = await connect()
      await client.publishAcknowledged('denied/x', 'x', { qos })
      expect(await client.settled()).toEqual([])
    },
  )

  test('[MQTT-3.1.1/4.4.0-1] what is under way comes again after a reconnect, with DUP and in order', async () => {
    const clientId = unique('c')
    const topic = unique('t')
    const first = await connect({ clientId, clean: false })
    await first.subscribe(topic, 2)
    const publisher = await connect()
    for (const qos of [1, 2, 1] as const) await publisher.publishAcknowledged(topic, `${qos}`, { qos })
    const sent = [await first.nextPublish(), await first.nextPublish(), await first.nextPublish()]
    first.send({ cmd: 'pubrec', messageId: sent[1]!.messageId! })
    await first.next('pubrel')
    await first.abort()
    const second = await connect({ clientId, clean: false })
    expect(await second.nextPublish()).toMatchObject({ messageId: sent[0]!.messageId, dup: true })
    expect(await second.next('pubrel')).toMatchObject({ messageId: sent[1]!.messageId })
    expect(await second.nextPublish()).toMatchObject({ messageId: sent[2]!.messageId, dup: true })
  })

  test('[MQTT-3.1.1/3.3.1-5] [MQTT-3.1.1/3.3.1-8] [MQTT-3.1.1/3.3.1-10] [MQTT-3.1.1/3.3.1-11] retained messages are stored and sent with RETAIN 1; an empty one removes', async () => {
    const topic = unique('t')
    const client = await connect()
    client.publish(topic, 'kept', { retain: true })
    const one = await connect()
    await one.subscribe(topic)
    expect(await one.nextPublish()).toMatchObject({ retain: true, payload: Buffer.from('kept') })
    client.publish(topic, '', { retain: true })
    await client.settled()
    const two = await connect()
    await two.subscribe(topic)
    expect(await two.settled()).toEqual([])
  })

  test('[MQTT-3.1.1/3.3.2-2] a wildcard in the topic ends the connection', async () => {
    const client = await connect()
    client.publish('a/#', 'x')
    expect(await client.remainder()).toEqual([])
  })
})

describe('SUBSCRIBE and UNSUBSCRIBE', () => {
  test('[MQTT-3.1.1/3.8.4-1] [MQTT-3.1.1/3.8.4-5] [MQTT-3.1.1/3.9.3-1] [MQTT-3.1.1/3.9.3-2] SUBACK has a code for each filter; failures are 0x80', async () => {
    const client = await connect()
    const codes = await client.subscribe([
      { topic: 'a', qos: 2 },
      { topic: 'denied/a', qos: 1 },
      { topic: 'a#', qos: 0 },
      { topic: 'b/+', qos: 0 },
    ])
    expect(codes).toEqual([2, 0x80, 0x80, 0])
  })

  test('[MQTT-3.1.1/3.8.4-3] the same filter replaces the subscription and sends what is retained', async () => {
    const topic = unique('t')
    const client = await connect()
    client.publish(topic, 'x', { retain: true })
    await client.subscribe(topic, 0)
    await client.nextPublish()
    await client.subscribe(topic, 1)
    expect((await client.nextPublish()).retain).toBe(true)
    await client.publishAcknowledged(topic, 'y', { qos: 1 })
    expect(await client.settled()).toMatchObject([{ qos: 1 }])
  })

  test('[MQTT-3.1.1/3.10.4-4] [MQTT-3.1.1/3.10.4-5] UNSUBACK has no codes and comes even when nothing matched', async () => {
    const client = await connect()
    client.bytes.length = 0
    client.write(packetOf(0xa2, uint16(9), field('never')))
    await client.next('unsuback')
    expect(Buffer.concat(client.bytes)).toEqual(Buffer.from([0xb0, 2, 0, 9]))
  })

  test('[MQTT-3.1.1/3.12.4-1] PINGREQ is answered', async () => {
    expect(await (await connect()).settled()).toEqual([])
  })
})

describe('clients of different versions', () => {
  test('reach each other', async () => {
    const topic = unique('t')
    const clients = [
      await gateway.connect({ protocolVersion: 3 }),
      await gateway.connect({ protocolVersion: 4 }),
      await gateway.connect({ protocolVersion: 5 }),
    ]
    for (const client of clients) await client.subscribe(topic, 1)
    for (const client of clients) client.publish(topic, `from ${client.version}`, { qos: 1 })
    for (const client of clients)
      expect((await client.nextPayloads(3)).sort()).toEqual(['from 3', 'from 4', 'from 5'])
  })

  test('a session may be resumed in another version', async () => {
    const clientId = unique('c')
    const topic = unique('t')
    const five = await gateway.connect({ clientId, properties: { sessionExpiryInterval: 600 } })
    await five.subscribe(topic, 1, { subscriptionIdentifier: 5 })
    await five.disconnect()
    const publisher = await gateway.connect()
    await publisher.publishAcknowledged(topic, 'x', { qos: 1, properties: { contentType: 'text/plain' } })
    const four = await connect({ clientId, clean: false })
    expect(four.connack.sessionPresent).toBe(true)
    expect((await four.nextPublish()).payload.toString()).toBe('x')
    await four.abort()
    const again = await gateway.connect({ clientId, clean: false })
    expect((await again.nextPublish()).properties).toMatchObject({ contentType: 'text/plain' })
  })

  test('[MQTT-3.1.1/4.7.2-1] a shared subscription of MQTT 3.1.1 is one too', async () => {
    const topic = unique('t')
    const one = await connect()
    const two = await connect()
    for (const client of [one, two]) await client.subscribe(`$share/g/${topic}`)
    one.publish(topic, 'x')
    const got = [...(await one.settled()), ...(await two.settled())]
    expect(got).toHaveLength(1)
  })
})
