import { createRequire } from 'node:module'
import { describe, expect, it } from 'vitest'
import { PacketDecoder } from './packet-decoder.js'
import type { ProtocolVersion } from './packet.js'
import {
  bytes,
  connect,
  connectWith,
  decode,
  decodeAfterConnect,
  field,
  integer,
  limits,
  packet,
  properties,
  Recorder,
  u16,
  u32,
  type Seen,
} from './wire-fixture.js'

const versions: ProtocolVersion[] = [3, 4, 5]
const none = properties()
const publish = (topic: string, payload = '') => packet(0x30, field(topic), Buffer.from(payload))

describe('CONNECT', () => {
  it.each(versions)('is decoded with all its fields, protocol level %d', (version) => {
    const v5 = version === 5
    const bytesOfConnect = connectWith(
      version,
      0xf6,
      properties(
        [0x11, u32(3600)],
        [0x21, u16(20)],
        [0x27, u32(1000)],
        [0x22, u16(7)],
        [0x19, 1],
        [0x17, 0],
        [0x26, field('a'), field('1')],
        [0x26, field('a'), field('2')],
        [0x15, field('SCRAM')],
        [0x16, field('data')],
      ),
      field('client'),
      v5 ? properties([0x18, u32(5)], [0x01, 1], [0x02, u32(60)], [0x03, field('text')]) : [],
      field('will/topic'),
      field('gone'),
      field('user'),
      field(Buffer.from([0, 255])),
    )
    expect(decode([bytesOfConnect])).toEqual([
      {
        type: 'connect',
        version,
        cleanStart: true,
        keepAlive: 60,
        clientId: 'client',
        username: 'user',
        password: Buffer.from([0, 255]),
        will: {
          topic: 'will/topic',
          payload: Buffer.from('gone'),
          qos: 2,
          retain: true,
          delayInterval: v5 ? 5 : 0,
          messageExpiryInterval: v5 ? 60 : undefined,
          properties: v5 ? { payloadFormat: 1, contentType: 'text' } : undefined,
        },
        sessionExpiryInterval: v5 ? 3600 : undefined,
        receiveMaximum: v5 ? 20 : undefined,
        maximumPacketSize: v5 ? 1000 : undefined,
        topicAliasMaximum: v5 ? 7 : 0,
        requestResponseInformation: v5,
        requestProblemInformation: !v5,
        userProperties: v5 ? [['a', '1'], ['a', '2']] : [], // prettier-ignore
        authenticationMethod: v5 ? 'SCRAM' : undefined,
        authenticationData: v5 ? Buffer.from('data') : undefined,
      },
    ])
  })

  it('[MQTT-3.1.3-6] may have an empty client id', () => {
    expect(decode([connectWith(5, 0x02, none, field(''))])).toMatchObject([{ type: 'connect', clientId: '' }])
  })

  it('may have a password without a user name in MQTT 5 (3.1.2.9)', () => {
    expect(decode([connectWith(5, 0x42, none, field('c'), field('p'))])).toMatchObject([
      { type: 'connect', username: undefined, password: Buffer.from('p') },
    ])
  })

  it('may set the flags of credentials in MQTT 3.1 and leave the credentials out', () => {
    expect(decode([connectWith(3, 0xc2, none, field('c'))])).toMatchObject([
      { type: 'connect', username: undefined, password: undefined },
    ])
  })

  it('owns what the session keeps: the read buffer may be used again', () => {
    const chunk = connectWith(4, 0xc6, none, field('c'), field('w'), field('gone'), field('u'), field('p'))
    const seen = decode([chunk])
    chunk.fill(0)
    expect(seen).toMatchObject([{ will: { payload: Buffer.from('gone') }, password: Buffer.from('p') }])
  })
})

describe('PUBLISH', () => {
  const v5 = (...fields: Parameters<typeof packet>) => decodeAfterConnect(5, packet(...fields))

  it.each(versions)('is decoded with flags, identifier and payload, protocol level %d', (version) => {
    const block = version === 5 ? none : []
    const length = version === 5 ? 11 : 10
    expect(
      decodeAfterConnect(
        version,
        packet(0x3d, field('a/b'), u16(0x1234), block, 0xff),
        packet(0x30, field('a/b'), block),
      ),
    ).toMatchObject([
      {
        topic: 'a/b',
        payload: 'ff',
        qos: 2,
        retain: true,
        dup: true,
        packetId: 0x1234,
        properties: undefined,
        messageExpiryInterval: undefined,
        wireLength: length,
      },
      { topic: 'a/b', payload: '', qos: 0, retain: false, dup: false, packetId: 0, wireLength: length - 3 },
    ])
  })

  it('is decoded with its properties, user properties in order [MQTT-3.3.2-18]', () => {
    const block = properties(
      [0x26, field('z'), field('1')],
      [0x08, field('reply/to')],
      [0x01, 0],
      [0x26, field('a'), field('')],
      [0x02, u32(0)],
      [0x09, field(Buffer.from([0, 1]))],
      [0x03, field('application/json')],
      [0x26, field('z'), field('1')],
    )
    expect(v5(0x30, field('t'), block)).toMatchObject([
      {
        messageExpiryInterval: 0,
        properties: {
          payloadFormat: 0,
          contentType: 'application/json',
          responseTopic: 'reply/to',
          correlationData: Buffer.from([0, 1]),
          userProperties: [['z', '1'], ['a', ''], ['z', '1']], // prettier-ignore
        },
      },
    ])
  })

  it('[MQTT-3.3.2-12] may set, use and set anew every alias up to the maximum', () => {
    const alias = (value: number) => properties(0x23, u16(value))
    const seen = decodeAfterConnect(
      5,
      packet(0x30, field('one'), alias(1)),
      packet(0x30, field('four'), alias(4)),
      packet(0x30, field(''), alias(1)),
      packet(0x30, field('other'), alias(1)),
      packet(0x30, field(''), alias(1)),
      packet(0x30, field(''), alias(4)),
    )
    expect(seen.map((each) => each.type === 'publish' && each.topic)).toEqual([
      'one',
      'four',
      'one',
      'other',
      'other',
      'four',
    ])
    expect(seen[0]).toMatchObject({ properties: undefined })
  })

  it('[MQTT-3.2.2-18] may not set one where the maximum is 0', () => {
    const chunks = [connect(5), packet(0x30, field('t'), properties(0x23, u16(1)))]
    expect(decode(chunks, { ...limits, topicAliasMaximum: 0 })).toMatchObject([
      { type: 'connect' },
      { type: 'violation', reasonCode: 0x94, rule: 'MQTT-3.3.2-9' },
    ])
  })

  it('[MQTT-3.3.2-7] knows no alias of another connection', () => {
    decodeAfterConnect(5, packet(0x30, field('one'), properties(0x23, u16(1))))
    expect(v5(0x30, field(''), properties(0x23, u16(1)))).toMatchObject([{ type: 'violation' }])
  })

  it('[MQTT-1.5.4-3] keeps a byte order mark', () => {
    expect(decodeAfterConnect(4, publish('\ufeffa'))).toMatchObject([{ topic: '\ufeffa' }])
  })

  it('[MQTT-1.5.4-1] takes every well-formed text: U+FFFD itself, emoji, noncharacters', () => {
    for (const topic of ['\ufffd', '🌡/🏠', '\u{10ffff}', '\uffff', 'constructor', '__proto__', 'é'])
      expect(decodeAfterConnect(4, publish(topic), publish(topic))).toMatchObject([{ topic }, { topic }])
  })

  it('[MQTT-4.7.3-3] takes a topic of 65,535 bytes', () => {
    const topic = 'x'.repeat(65_535)
    const wide = { maxPacketSize: 100_000, topicAliasMaximum: 0 }
    expect(decode([connect(4), publish(topic), publish(topic)], wide).slice(1)).toMatchObject([
      { topic },
      { topic },
    ])
  })

  it('tells apart topics that share a place in the memory of topics', () => {
    const topics = Array.from({ length: 300 }, (_, i) => `s/${String(i % 100)}/${'x'.repeat(i % 7)}`)
    const seen = decodeAfterConnect(4, ...topics.map((topic) => publish(topic)))
    expect(seen.map((each) => each.type === 'publish' && each.topic)).toEqual(topics)
  })

  it('[MQTT-1.5.4-1] does not take ill-formed bytes for the remembered character of the same code', () => {
    const seen = decodeAfterConnect(4, publish('é'), packet(0x30, field(Buffer.from([0xe9]))))
    expect(seen).toMatchObject([{ topic: 'é' }, { type: 'violation', rule: 'MQTT-3.1.1/1.5.3-1' }])
  })
})

describe('other packets', () => {
  it.each(versions)('acknowledgements, protocol level %d', (version) => {
    const ids = u16(7)
    expect(
      decodeAfterConnect(version, packet(0x40, ids), packet(0x50, ids), packet(0x62, ids), packet(0x70, ids)),
    ).toEqual(['puback', 'pubrec', 'pubrel', 'pubcomp'].map((type) => ({ type, packetId: 7, reasonCode: 0 })))
  })

  it('acknowledgements of MQTT 5 with reason code, with and without properties (3.4.2.2.1)', () => {
    const informing = properties(
      [0x1f, field('why')],
      [0x26, field('a'), field('b')],
      [0x26, field('a'), field('b')],
    )
    expect(
      decodeAfterConnect(
        5,
        packet(0x40, u16(1), 0x10),
        packet(0x50, u16(2), 0x97, none),
        packet(0x62, u16(3), 0x92, informing),
      ),
    ).toEqual([
      { type: 'puback', packetId: 1, reasonCode: 0x10 },
      { type: 'pubrec', packetId: 2, reasonCode: 0x97 },
      { type: 'pubrel', packetId: 3, reasonCode: 0x92 },
    ])
  })

  it('SUBSCRIBE of MQTT 5 with options, identifier and user properties', () => {
    const block = properties([0x0b, integer(268_435_455)], [0x26, field('k'), field('v')])
    expect(
      decodeAfterConnect(5, packet(0x82, u16(9), block, field('a/+'), 0x2e, field('$share/g/b'), 0x11)),
    ).toEqual([
      {
        type: 'subscribe',
        packetId: 9,
        subscriptionIdentifier: 268_435_455,
        userProperties: [['k', 'v']],
        subscriptions: [
          { filter: 'a/+', qos: 2, noLocal: true, retainAsPublished: true, retainHandling: 2 },
          { filter: '$share/g/b', qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 1 },
        ],
      },
    ])
  })

  it.each([3, 4] as const)('SUBSCRIBE and UNSUBSCRIBE, protocol level %d', (version) => {
    expect(
      decodeAfterConnect(
        version,
        packet(0x82, u16(1), field('a'), 0, field('b'), 2),
        packet(0xa2, u16(2), field('a'), field('b')),
      ),
    ).toMatchObject([
      {
        type: 'subscribe',
        packetId: 1,
        subscriptions: [
          { filter: 'a', qos: 0 },
          { filter: 'b', qos: 2 },
        ],
      },
      { type: 'unsubscribe', packetId: 2, filters: ['a', 'b'] },
    ])
  })

  it('PUBREL, SUBSCRIBE and UNSUBSCRIBE sent again with DUP in MQTT 3.1', () => {
    expect(
      decodeAfterConnect(
        3,
        packet(0x6a, u16(1)),
        packet(0x8a, u16(1), field('a'), 0),
        packet(0xaa, u16(1), field('a')),
      ).map((each) => each.type),
    ).toEqual(['pubrel', 'subscribe', 'unsubscribe'])
  })

  it('a padded Remaining Length, which only MQTT 5 forbids [MQTT-1.5.5-1]', () => {
    expect(decodeAfterConnect(4, bytes(0xc0, 0x80, 0x80, 0x00))).toEqual([{ type: 'pingreq' }])
  })

  it('UNSUBSCRIBE of MQTT 5, PINGREQ, AUTH, DISCONNECT in all its forms', () => {
    const auth = properties([0x15, field('SCRAM')], [0x16, field('data')], [0x1f, field('why')])
    const disconnect = properties([0x11, u32(9)], [0x1f, field('why')], [0x1c, field('there')])
    expect(
      decodeAfterConnect(
        5,
        packet(0xa2, u16(2), properties(0x26, field('k'), field('v')), field('a')),
        packet(0xc0),
        packet(0xf0, 0x18, auth),
        packet(0xe0),
        packet(0xe0, 0x04),
        packet(0xe0, 0x04, none),
        packet(0xe0, 0x00, disconnect),
      ),
    ).toEqual([
      { type: 'unsubscribe', packetId: 2, filters: ['a'] },
      { type: 'pingreq' },
      {
        type: 'auth',
        reasonCode: 0x18,
        authenticationMethod: 'SCRAM',
        authenticationData: Buffer.from('data'),
      },
      { type: 'disconnect', reasonCode: 0, sessionExpiryInterval: undefined },
      { type: 'disconnect', reasonCode: 4, sessionExpiryInterval: undefined },
      { type: 'disconnect', reasonCode: 4, sessionExpiryInterval: undefined },
      { type: 'disconnect', reasonCode: 0, sessionExpiryInterval: 9 },
    ])
  })
})

describe('bytes cut anywhere', () => {
  const stream = bytes(
    connect(5),
    packet(0x30, field('a/b'), none, Buffer.alloc(200, 1)),
    packet(0x34, field('a/b'), u16(3), properties(0x23, u16(1)), Buffer.from('x')),
    packet(0xc0),
    packet(0x30, field(''), properties(0x23, u16(1))),
    packet(0x82, u16(4), none, field('#'), 0),
    packet(0x30, field('é'), none, Buffer.alloc(300, 2)),
    packet(0xe0),
  )
  const whole = decode([stream])

  it('[MQTT-6.0.0-2] give the same packets: one byte at a time, and at every two places', () => {
    expect(whole).toHaveLength(8)
    expect(decode(Array.from(stream, (byte) => Buffer.from([byte])))).toEqual(whole)
    for (let i = 1; i < stream.length; i += 3) {
      for (let j = i; j < stream.length; j += 7) {
        const chunks = [stream.subarray(0, i), stream.subarray(i, j), stream.subarray(j)]
        expect(decode(chunks), `cut at ${i} and ${j}`).toEqual(whole)
      }
    }
  })

  it('leave payloads alone that were handed out before in the same tick', () => {
    const payloads: Buffer[] = []
    const recorder = new Recorder()
    recorder.publish = (_topic, payload) => payloads.push(payload)
    const decoder = new PacketDecoder(limits, recorder)
    decoder.push(connect(4))
    for (let i = 0; i < 50; i++) {
      const sent = publish('t', String(i).padStart(20, '0'))
      decoder.push(sent.subarray(0, 5 + (i % 10)))
      decoder.push(sent.subarray(5 + (i % 10)))
    }
    expect(payloads.map(Number)).toEqual(Array.from({ length: 50 }, (_, i) => i))
  })

  it('[MQTT-3.2.2-15] are not kept for a packet above the maximum, and never more than came', () => {
    const decoder = new PacketDecoder(limits, new Recorder())
    decoder.push(connect(4))
    decoder.push(bytes(0x30, integer(65_000), Buffer.alloc(100)))
    expect(decoder.keptBytes).toBe(104)
    const refused = new Recorder()
    const bounded = new PacketDecoder({ ...limits, maxPacketSize: 1000 }, refused)
    bounded.push(connect(4))
    bounded.push(bytes(0x30, integer(998)))
    expect(refused.seen).toMatchObject([{}, { type: 'violation', reasonCode: 0x95 }])
    expect(bounded.keptBytes).toBe(0)
  })

  it('take a packet of exactly the maximum', () => {
    const sent = publish('t', 'x'.repeat(994))
    expect(sent).toHaveLength(1000)
    expect(decode([connect(4), sent], { ...limits, maxPacketSize: 1000 })).toHaveLength(2)
  })
})

describe('stop, pause and resume', () => {
  const topicsOf = (seen: readonly Seen[]) =>
    seen.map((each) => (each.type === 'publish' ? each.topic : each.type))
  const three = bytes(publish('1'), publish('2'), publish('3'))

  it('decodes nothing after stop, not even what came with the packet', () => {
    const recorder = new Recorder()
    const decoder = new PacketDecoder(limits, recorder)
    recorder.onSeen = (seen) => {
      if (seen.type === 'publish') decoder.stop()
    }
    decoder.push(bytes(connect(4), three, Buffer.from([0x00])))
    decoder.push(three)
    decoder.resume()
    expect(topicsOf(recorder.seen)).toEqual(['connect', '1'])
    expect(decoder.keptBytes).toBe(0)
  })

  it('[MQTT-3.1.4-6] holds what follows CONNECT until it is resumed', () => {
    const recorder = new Recorder()
    const decoder = new PacketDecoder(limits, recorder)
    recorder.onSeen = (seen) => {
      if (seen.type === 'connect') decoder.pause()
    }
    decoder.push(bytes(connect(4), publish('1')))
    decoder.push(publish('2'))
    decoder.push(publish('3').subarray(0, 2))
    expect(topicsOf(recorder.seen)).toEqual(['connect'])
    decoder.resume()
    expect(topicsOf(recorder.seen)).toEqual(['connect', '1', '2'])
    decoder.push(publish('3').subarray(2))
    expect(topicsOf(recorder.seen)).toEqual(['connect', '1', '2', '3'])
    expect(decoder.keptBytes).toBe(0)
  })

  it('may be paused after every packet, however the bytes are cut', () => {
    const stream = bytes(connect(4), three, three)
    for (let size = 1; size <= stream.length; size++) {
      const recorder = new Recorder()
      const decoder = new PacketDecoder(limits, recorder)
      recorder.onSeen = () => {
        decoder.pause()
      }
      for (let at = 0; at < stream.length; at += size) decoder.push(stream.subarray(at, at + size))
      for (let i = 0; i < 7; i++) decoder.resume()
      expect(topicsOf(recorder.seen)).toEqual(['connect', '1', '2', '3', '1', '2', '3'])
    }
  })

  it('goes on within the same push when the handler pauses and resumes at once', () => {
    const recorder = new Recorder()
    const decoder = new PacketDecoder(limits, recorder)
    recorder.onSeen = () => {
      decoder.pause()
      decoder.resume()
    }
    decoder.push(bytes(connect(4), three))
    expect(topicsOf(recorder.seen)).toEqual(['connect', '1', '2', '3'])
  })

  it('keeps the order when the handler causes another push', () => {
    for (const cut of [0, 2, 17]) {
      const recorder = new Recorder()
      const decoder = new PacketDecoder(limits, recorder)
      const stream = bytes(connect(4), publish('1'), publish('2'), publish('3').subarray(0, 2))
      let pushed = false
      recorder.onSeen = (seen) => {
        if (pushed || seen.type !== 'publish') return
        pushed = true
        decoder.push(bytes(publish('3').subarray(2), publish('4')))
      }
      decoder.push(stream.subarray(0, cut))
      decoder.push(stream.subarray(cut))
      expect(topicsOf(recorder.seen)).toEqual(['connect', '1', '2', '3', '4'])
    }
  })

  it('ends when the handler throws, and passes the error on', () => {
    const recorder = new Recorder()
    const decoder = new PacketDecoder(limits, recorder)
    recorder.onSeen = () => {
      throw new Error('defect')
    }
    expect(() => {
      decoder.push(connect(4))
    }).toThrow('defect')
    decoder.push(three)
    expect(recorder.seen).toHaveLength(1)
  })
})

describe('against mqtt-packet, where both agree', () => {
  const { generate } = createRequire(import.meta.url)('mqtt-packet') as {
    generate: (packet: object, options: object) => Buffer
  }
  const generated: [string, object, object][] = [
    [
      'PUBLISH',
      { cmd: 'publish', topic: 'a/b', payload: 'p', qos: 1, messageId: 5, retain: true, dup: true },
      { type: 'publish', topic: 'a/b', payload: '70', qos: 1, packetId: 5, retain: true, dup: true },
    ],
    [
      'SUBSCRIBE',
      { cmd: 'subscribe', messageId: 6, subscriptions: [{ topic: 'x/#', qos: 2 }] },
      { type: 'subscribe', packetId: 6, subscriptions: [{ filter: 'x/#', qos: 2 }] },
    ],
    [
      'UNSUBSCRIBE',
      { cmd: 'unsubscribe', messageId: 7, unsubscriptions: ['x/#', 'y'] },
      { type: 'unsubscribe', packetId: 7, filters: ['x/#', 'y'] },
    ],
    ['PUBREL', { cmd: 'pubrel', messageId: 8 }, { type: 'pubrel', packetId: 8 }],
    ['PINGREQ', { cmd: 'pingreq' }, { type: 'pingreq' }],
    ['DISCONNECT', { cmd: 'disconnect' }, { type: 'disconnect', reasonCode: 0 }],
  ]

  it.each(versions)('reads what it writes, protocol level %d', (protocolVersion) => {
    const protocolId = protocolVersion === 3 ? 'MQIsdp' : 'MQTT'
    const first = generate(
      { cmd: 'connect', protocolId, protocolVersion, clientId: 'c', clean: true, keepalive: 9 },
      {},
    )
    const rest = generated.map(([, from]) => generate(from, { protocolVersion }))
    expect(decode([first, ...rest])).toMatchObject([
      { type: 'connect', version: protocolVersion, clientId: 'c', keepAlive: 9 },
      ...generated.map(([, , to]) => to),
    ])
  })
})
