import { describe, expect, test } from 'vitest'
import { unique, useGateway } from '../harness/gateway.js'
import { connectOf, field, packetOf, uint16 } from '../harness/packet-bytes.js'

const gateway = useGateway({
  limits: { topicBytes: 65_535, clientIdBytes: 65_535, topicLevels: 100 },
  store: { type: 'level' },
})

const odd = [
  'constructor',
  '__proto__',
  'hasOwnProperty',
  'toString',
  ' ',
  '\u{1f980}/\u{1f680}',
  '\ufeffmark',
  'a\ufeff',
  '\u0001control',
  '\uffff',
  '\u00e9',
  'e\u0301',
  'quote"\'`',
  'x${x}',
  '%s%n',
  '[a]*?{b}\\',
]

describe('odd names', () => {
  test.each(odd)('[MQTT-1.5.4-3] [MQTT-4.7.3-4] %j is a topic like any other', async (name) => {
    const clientId = unique('c')
    const properties = { sessionExpiryInterval: 60 }
    const first = await gateway.connect({ clientId, properties })
    expect(await first.subscribe(name, 1)).toEqual([1])
    first.publish(name, 'live')
    expect((await first.nextPublish()).topic).toBe(name)
    await first.abort()
    const publisher = await gateway.connect()
    const acknowledged = await publisher.publishAcknowledged(name, 'queued', { qos: 1, retain: true })
    expect(acknowledged.reasonCode).toBe(0)
    const second = await gateway.connect({ clientId, clean: false, properties })
    const queued = await second.nextPublish()
    expect(queued).toMatchObject({ topic: name, retain: false })
    await second.acknowledge(queued)
    await second.subscribe(name)
    expect(await second.nextPublish()).toMatchObject({ topic: name, retain: true })
    expect(await second.unsubscribe(name)).toEqual([0])
    publisher.publish(name, '', { retain: true })
    await publisher.settled()
  })

  test.each(odd)('[MQTT-3.1.3-4] %j is a client identifier like any other', async (clientId) => {
    const topic = unique('t')
    const properties = { sessionExpiryInterval: 60 }
    const first = await gateway.connect({
      clientId,
      properties,
      will: { topic, payload: 'gone', properties: { willDelayInterval: 30 } },
    })
    expect(first.connack).toMatchObject({ reasonCode: 0, sessionPresent: false })
    await first.subscribe(`$share/${clientId.replaceAll(/[/+#]/g, '')}/${topic}`, 1)
    await first.abort()
    const second = await gateway.connect({ clientId, clean: false })
    expect(second.connack.sessionPresent).toBe(true)
    await second.disconnect()
  })

  test('[MQTT-4.7.3-4] names that look alike are not the same: no normalisation', async () => {
    const client = await gateway.connect()
    await client.subscribe('caf\u00e9')
    client.publish('cafe\u0301', 'decomposed')
    client.publish('CAF\u00c9', 'in capitals')
    client.publish('caf\u00e9', 'same')
    expect(await client.settled()).toMatchObject([{ payload: Buffer.from('same') }])
  })

  test('[MQTT-4.7.3-3] 65,535 bytes are served', async () => {
    const long = 'x'.repeat(65_535)
    const client = await gateway.connect({ clientId: long, properties: { sessionExpiryInterval: 60 } })
    expect(client.connack.reasonCode).toBe(0)
    expect(await client.subscribe(long, 1)).toEqual([1])
    client.publish(long, 'x', { qos: 1, retain: true })
    expect((await client.nextPublish()).topic).toHaveLength(65_535)
    await client.abort()
    const again = await gateway.connect({ clientId: long, clean: false })
    expect(again.connack.sessionPresent).toBe(true)
    expect((await again.nextPublish()).topic).toHaveLength(65_535)
  })
})

describe('what is not text', () => {
  const bad: [string, Buffer][] = [
    ['an overlong encoding', Buffer.from([0xc0, 0xaf])],
    ['a surrogate', Buffer.from([0xed, 0xa0, 0x80])],
    ['a code point above U+10FFFF', Buffer.from([0xf4, 0x90, 0x80, 0x80])],
    ['a cut sequence', Buffer.from([0xe2, 0x82])],
    ['the null character', Buffer.from('a\0b')],
  ]

  test.each(bad)(
    '[MQTT-1.5.4-1] [MQTT-1.5.4-2] [MQTT-4.7.3-2] %s is malformed in every field',
    async (_name, text) => {
      const packets = [
        packetOf(0x30, field(text), [0]),
        packetOf(0x82, uint16(1), [0], field(text), [0]),
        packetOf(0xa2, uint16(1), [0], field(text)),
        packetOf(0xe0, [0], [text.length + 3, 0x1f], field(text)),
      ]
      for (const packet of packets) {
        const client = await gateway.connect()
        client.write(packet)
        expect(await client.disconnectedByPeer()).toBe(0x81)
      }
      for (const rest of [
        [connectOf(0x02, [0], field(text))],
        [connectOf(0x82, [0], field('a'), field(text))],
        [connectOf(0x06, [0], field('a'), [0], field(text), field(''))],
      ]) {
        const client = await gateway.open()
        client.write(Buffer.concat(rest))
        expect((await client.next('connack')).reasonCode).toBe(0x81)
        await client.closedByPeer()
      }
    },
  )
})
