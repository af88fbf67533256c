import { beforeAll, describe, expect, test } from 'vitest'
import { unique, useGateway } from '../harness/gateway.js'
import { connectOf, cutPackets, field, packetOf, properties } from '../harness/packet-bytes.js'
import type { RawClient } from '../harness/raw-client.js'

const gateway = useGateway({
  access: {
    rules: [
      { deny: 'publish', topics: ['denied/#'] },
      { allow: 'both', topics: ['#'] },
    ],
  },
})

// Any user name will do.
beforeAll(() => {
  gateway.running.broker.authenticate = (_client, _username, _password, done) => done(null, true)
})

const NO_PROPERTIES = [0]
const CLEAN = 0x02

async function answerTo(bytes: Buffer): Promise<{ client: RawClient; answer: Buffer }> {
  const client = await gateway.open()
  client.write(bytes)
  await client.closedByPeer()
  return { client, answer: Buffer.concat(client.bytes) }
}

describe('CONNECT', () => {
  test('[MQTT-3.1.4-5] [MQTT-3.2.0-2] is answered by one CONNACK with success', async () => {
    const client = await gateway.connect()
    expect(client.connack).toMatchObject({ reasonCode: 0, sessionPresent: false })
    expect(await client.settled()).toEqual([])
  })

  test('[MQTT-3.2.2-1] the reserved flags of CONNACK are 0', async () => {
    const clientId = unique('resumed')
    const first = await gateway.connect({ clientId, properties: { sessionExpiryInterval: 60 } })
    expect(first.bytes[0]?.[2]).toBe(0)
    await first.disconnect()
    const second = await gateway.connect({ clientId, clean: false })
    expect(second.bytes[0]?.[2]).toBe(1)
  })

  test('[MQTT-3.1.0-1] anything else as the first packet closes the connection, without an answer', async () => {
    const { answer } = await answerTo(Buffer.from([0xc0, 0]))
    expect(answer).toHaveLength(0)
  })

  test('[MQTT-3.1.0-2] for a second time is a protocol error', async () => {
    const client = await gateway.connect()
    client.sendConnect({ clientId: unique('again') })
    expect(await client.disconnectedByPeer()).toBe(0x82)
  })

  test('[MQTT-3.1.2-1] with another protocol name closes the connection', async () => {
    const { answer } = await answerTo(
      packetOf(0x10, field('HTTP'), [5, CLEAN, 0, 0], NO_PROPERTIES, field('a')),
    )
    expect(answer).toHaveLength(0)
  })

  test('[MQTT-3.1.2-2] of version 6 is answered 0x84 in MQTT 5 and closed', async () => {
    const { client } = await answerTo(
      packetOf(0x10, field('MQTT'), [6, CLEAN, 0, 0], NO_PROPERTIES, field('a')),
    )
    expect(await client.next('connack')).toMatchObject({ reasonCode: 0x84, sessionPresent: false })
  })

  test('[MQTT-3.1.1/3.1.2-2] of level 2 is answered by return code 1 of MQTT 3.1.1 and closed', async () => {
    const { answer } = await answerTo(packetOf(0x10, field('MQTT'), [2, CLEAN, 0, 0], field('a')))
    expect(answer).toEqual(Buffer.from([0x20, 2, 0, 1]))
  })

  test('[MQTT-3.1.2-3] [MQTT-3.1.4-1] with its reserved flag set is malformed, and told so in MQTT 5', async () => {
    const { client } = await answerTo(connectOf(CLEAN | 1, NO_PROPERTIES, field('a')))
    expect(await client.next('connack')).toMatchObject({ reasonCode: 0x81, sessionPresent: false })
  })

  test('[MQTT-3.1.4-1] [MQTT-3.1.1/3.1.4-1] that is malformed closes an MQTT 3.1.1 connection without CONNACK', async () => {
    const { answer } = await answerTo(packetOf(0x10, field('MQTT'), [4, CLEAN | 1, 0, 0], field('a')))
    expect(answer).toHaveLength(0)
  })

  test('[MQTT-3.1.3-1] [MQTT-3.1.2-7] with every field in its place is read whole', async () => {
    const topic = unique('will')
    const watcher = await gateway.connect()
    await watcher.subscribe(topic, 1)
    const client = await gateway.connect({
      username: 'ann',
      password: Buffer.from('secret'),
      will: { topic, payload: 'gone', qos: 1, properties: { contentType: 'text/plain' } },
    })
    expect(client.connack.reasonCode).toBe(0)
    await client.abort()
    const will = await watcher.nextPublish()
    expect(will.payload.toString()).toBe('gone')
    expect(will.properties?.contentType).toBe('text/plain')
  })

  test('[MQTT-3.1.4-2] [MQTT-3.2.2-7] [MQTT-4.13.2-1] that is not allowed is answered 0x87 and closed', async () => {
    const client = await gateway.connect({ will: { topic: 'denied/will', payload: '' } })
    expect(client.connack).toMatchObject({ reasonCode: 0x87, sessionPresent: false })
    await client.closedByPeer()
  })

  test('[MQTT-3.1.4-6] that is refused: nothing behind it is processed', async () => {
    const topic = unique('behind')
    const watcher = await gateway.connect()
    await watcher.subscribe(topic)
    const refused = await gateway.open()
    refused.sendConnect({ will: { topic: 'denied/will', payload: '' } })
    refused.publish(topic, 'sneaked in')
    expect((await refused.next('connack')).reasonCode).toBe(0x87)
    await refused.closedByPeer()
    expect(await watcher.settled()).toEqual([])
  })

  test('[MQTT-3.1.4-5] packets right behind it are processed once it is accepted', async () => {
    const topic = unique('behind')
    const watcher = await gateway.connect()
    await watcher.subscribe(topic)
    const eager = await gateway.open()
    eager.sendConnect({ clientId: unique('eager') })
    eager.publish(topic, 'at once')
    expect((await eager.next('connack')).reasonCode).toBe(0)
    expect((await watcher.nextPublish()).payload.toString()).toBe('at once')
  })

  test('[MQTT-3.14.0-1] that never comes: the connection is closed without DISCONNECT', async () => {
    const client = await gateway.open()
    gateway.clock.skip(11)
    await client.closedByPeer()
    expect(client.bytes).toEqual([])
  })
})

describe('the client identifier', () => {
  test.each(['a', '0123456789abcdefghijklm', 'nopqrstuvwxyzABCDEFGHIJ', 'KLMNOPQRSTUVWXYZ'])(
    '[MQTT-3.1.3-5] %s is allowed',
    async (clientId) => {
      expect((await gateway.connect({ clientId })).connack.reasonCode).toBe(0)
    },
  )

  test('[MQTT-3.1.3-6] [MQTT-3.1.3-7] [MQTT-3.2.2-16] is assigned where there is none, and unique', async () => {
    const one = await gateway.connect({ clientId: '' })
    const other = await gateway.connect({ clientId: '' })
    const assigned = one.connack.properties?.assignedClientIdentifier
    expect(assigned).toMatch(/./)
    expect(other.connack.properties?.assignedClientIdentifier).not.toBe(assigned)
    expect(one.open).toBe(true)
  })

  test('[MQTT-3.1.3-7] that was assigned belongs to the session from then on', async () => {
    const topic = unique('t')
    const one = await gateway.connect({ clientId: '', properties: { sessionExpiryInterval: 60 } })
    await one.subscribe(topic, 1)
    const clientId = one.connack.properties?.assignedClientIdentifier ?? ''
    await one.disconnect()
    const again = await gateway.connect({ clientId, clean: false })
    expect(again.connack.sessionPresent).toBe(true)
  })

  test('[MQTT-3.1.3-7] is not told where the client has brought one', async () => {
    expect((await gateway.connect()).connack.properties).not.toHaveProperty('assignedClientIdentifier')
  })

  test('[MQTT-3.1.3-8] [MQTT-3.2.2-6] above the configured length is answered 0x85 and closed', async () => {
    const client = await gateway.connect({ clientId: 'x'.repeat(257) })
    expect(client.connack).toMatchObject({ reasonCode: 0x85, sessionPresent: false })
    await client.closedByPeer()
  })

  test('[MQTT-3.1.3-3] [MQTT-3.1.3-4] that is missing or not UTF-8 is malformed', async () => {
    for (const clientId of [Buffer.alloc(0), field(Buffer.from([0xff]))]) {
      const { client } = await answerTo(connectOf(CLEAN, NO_PROPERTIES, clientId))
      expect((await client.next('connack')).reasonCode).toBe(0x81)
    }
  })
})

describe('CONNACK', () => {
  test('[MQTT-3.2.2-9] [MQTT-3.2.2-10] has no Maximum QoS and no Retain Available: all is supported', async () => {
    const { connack } = await gateway.connect()
    expect(connack.properties).not.toHaveProperty('maximumQoS')
    expect(connack.properties).not.toHaveProperty('retainAvailable')
    expect(connack.properties).not.toHaveProperty('wildcardSubscriptionAvailable')
    expect(connack.properties).not.toHaveProperty('sharedSubscriptionAvailable')
    expect(connack.properties).not.toHaveProperty('subscriptionIdentifiersAvailable')
  })

  test('[MQTT-3.2.2-12] [MQTT-3.2.2-13] a will with QoS 2 and RETAIN is within what is supported', async () => {
    const client = await gateway.connect({
      will: { topic: unique('will'), payload: '1', qos: 2, retain: true },
    })
    expect(client.connack.reasonCode).toBe(0)
    await client.disconnect()
  })

  test('[MQTT-3.2.2-8] tells refusals by codes of its table', async () => {
    const codes = [0x81, 0x82, 0x84, 0x85, 0x86, 0x87, 0x8c, 0x90]
    const refusals = [
      await gateway.connect({ clientId: 'x'.repeat(300) }),
      await gateway.connect({ will: { topic: 'denied/x', payload: '' } }),
      await gateway.connect({ will: { topic: 'a/#', payload: '' } }),
      await gateway.connect({ properties: { authenticationMethod: 'unknown' } }),
    ]
    for (const { connack } of refusals) expect(codes).toContain(connack.reasonCode)
  })

  test('[MQTT-3.2.2-19] [MQTT-3.2.2-20] [MQTT-3.1.2-24] is never larger than the client takes', async () => {
    const client = await gateway.open()
    client.sendConnect({ clientId: '', properties: { maximumPacketSize: 20 } })
    await client.closedByPeer()
    for (const packet of cutPackets(Buffer.concat(client.bytes)))
      expect(packet.length).toBeLessThanOrEqual(20)
  })

  test('[MQTT-3.2.0-1] comes before everything that waits for the client', async () => {
    const clientId = unique('waited')
    const topic = unique('t')
    const first = await gateway.connect({ clientId, properties: { sessionExpiryInterval: 60 } })
    await first.subscribe(topic, 1)
    await first.disconnect()
    const publisher = await gateway.connect()
    await publisher.publishAcknowledged(topic, 'queued', { qos: 1 })
    const second = await gateway.connect({ clientId, clean: false })
    await second.nextPublish()
    expect(cutPackets(Buffer.concat(second.bytes)).map((packet) => (packet[0] ?? 0) >> 4)).toEqual([2, 3])
  })
})

test('[MQTT-2.2.2-1] a packet without properties says so by a Property Length of 0', async () => {
  const topic = unique('bare')
  const client = await gateway.connect()
  await client.subscribe(topic)
  client.bytes.length = 0
  client.publish(topic, 'x')
  await client.nextPublish()
  expect(Buffer.concat(client.bytes)).toEqual(packetOf(0x30, field(topic), properties(), Buffer.from('x')))
})

test('[MQTT-3.12.4-1] PINGREQ is answered by PINGRESP', async () => {
  const client = await gateway.connect()
  client.send({ cmd: 'pingreq' })
  await client.next('pingresp')
})
