import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Message, type MessageFields, type PublishProperties, type QoS } from '../contract/message.js'
import type { ProtocolVersion } from './packet.js'
import { encodePublish, encodeShared, publishSize, type PublishOptions } from './publish-encoder.js'
import { parseAsClient } from './reference-parser-fixture.js'
import { decodeAfterConnect } from './wire-fixture.js'

const fields: MessageFields = {
  topic: 'a/é',
  payload: Buffer.from('payload'),
  qos: 1,
  retain: false,
  receivedAt: 0,
}
const properties: PublishProperties = {
  payloadFormat: 1,
  contentType: 'application/json',
  responseTopic: 'reply/to',
  correlationData: Buffer.from([0, 1, 2]),
  userProperties: [['z', '1'], ['a', ''], ['z', '1']], // prettier-ignore
}
const options: PublishOptions = {
  version: 5,
  qos: 1,
  retain: false,
  dup: false,
  packetId: 7,
  identifiers: [],
  topicAlias: undefined,
  omitTopic: false,
  now: 0,
}

/** As a client of this gateway's own decoder; identifiers are not for clients to send, hence not in these. */
const readBack = (bytes: Buffer, version: ProtocolVersion = 5) => decodeAfterConnect(version, bytes)[0]
const parsed = (bytes: Buffer, version = 5) => parseAsClient(bytes, version)[0]

describe('the shared QoS 0 packet', () => {
  it.each([3, 4, 5] as const)('holds topic, payload and RETAIN, protocol level %d', (version) => {
    const message = new Message(fields)
    for (const retain of [false, true]) {
      expect(readBack(encodeShared(message, version, retain, 0), version)).toMatchObject({
        topic: 'a/é',
        payload: fields.payload.toString('hex'),
        qos: 0,
        dup: false,
        retain,
        packetId: 0,
      })
    }
  })

  it('is encoded once for each wire version and RETAIN flag', () => {
    const message = new Message(fields)
    const first = encodeShared(message, 4, false, 0)
    expect(encodeShared(message, 4, false, 9_999_999)).toBe(first)
    expect(encodeShared(message, 3, false, 0)).toBe(first)
    expect(encodeShared(message, 4, true, 0)).not.toBe(first)
    expect(encodeShared(message, 5, false, 0)).not.toBe(first)
  })

  it('[MQTT-3.3.2-6] is shared within a second where the message expires, and never changed', () => {
    const message = new Message({ ...fields, expiresAt: 10_000 })
    const first = encodeShared(message, 5, false, 0)
    const copy = Buffer.from(first)
    expect(encodeShared(message, 5, false, 999)).toBe(first)
    const second = encodeShared(message, 5, false, 1000)
    expect(readBack(second)).toMatchObject({ messageExpiryInterval: 9 })
    expect(encodeShared(message, 5, false, 1500)).toBe(second)
    expect(first).toEqual(copy)
    expect(encodeShared(message, 4, false, 5000)).toBe(encodeShared(message, 4, false, 0))
  })
})

describe('a packet for one receiver', () => {
  it('[MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20] carries the properties of the publisher unaltered', () => {
    const message = new Message({ ...fields, properties })
    expect(readBack(encodePublish(message, options))).toMatchObject({ properties })
    expect(readBack(encodeShared(message, 5, false, 0))).toMatchObject({ properties })
  })

  it('has none of them before MQTT 5', () => {
    const message = new Message({ ...fields, properties, expiresAt: 5000 })
    const plain = { ...options, version: 4, identifiers: [1], topicAlias: 3, omitTopic: true } as const
    expect(encodePublish(message, plain)).toEqual(
      encodePublish(new Message(fields), { ...options, version: 4 }),
    )
  })

  it('[MQTT-2.2.1-4] [MQTT-3.3.1-1] [MQTT-3.3.1-3] has its own identifier, QoS, DUP and RETAIN, whoever was first', () => {
    for (const version of [3, 4, 5] as const) {
      const message = new Message({ ...fields, properties })
      const kept: [Buffer, object][] = []
      for (const qos of [1, 2] as const) {
        for (const retain of [false, true]) {
          for (const dup of [false, true]) {
            const packetId = 1 + kept.length * 9000
            const bytes = encodePublish(message, { ...options, version, qos, retain, dup, packetId })
            kept.push([bytes, { topic: 'a/é', qos, retain, dup, packetId }])
          }
        }
      }
      // Checked at the end: no later packet has changed an earlier one.
      for (const [bytes, expected] of kept) expect(readBack(bytes, version)).toMatchObject(expected)
    }
  })

  it('[MQTT-3.3.1-2] [MQTT-2.2.1-2] has neither DUP nor an identifier with QoS 0', () => {
    const message = new Message(fields)
    const bytes = encodePublish(message, { ...options, qos: 0, dup: true })
    expect(bytes).toEqual(encodeShared(message, 5, false, 0))
  })

  it('[MQTT-3.3.4-3] [MQTT-3.3.4-4] carries every subscription identifier', () => {
    const message = new Message({ ...fields, properties })
    const bytes = encodePublish(message, { ...options, identifiers: [1, 200, 268_435_455] })
    expect(parsed(bytes)).toMatchObject({
      topic: 'a/é',
      messageId: 7,
      properties: { subscriptionIdentifier: [1, 200, 268_435_455], contentType: 'application/json' },
    })
    expect(readBack(encodePublish(message, options))).toMatchObject({ properties })
  })

  it('sets a topic alias, then leaves the topic out (3.3.2.3.4)', () => {
    const message = new Message(fields)
    const set = encodePublish(message, { ...options, topicAlias: 3 })
    const used = encodePublish(message, { ...options, topicAlias: 3, omitTopic: true })
    expect(parsed(set)).toMatchObject({ topic: 'a/é', properties: { topicAlias: 3 } })
    expect(used).toHaveLength(set.length - Buffer.byteLength('a/é'))
    expect(decodeAfterConnect(5, set, used)).toMatchObject([{ topic: 'a/é' }, { topic: 'a/é' }])
  })

  it('[MQTT-3.3.2-6] counts the expiry interval down in whole seconds waited, for each receiver', () => {
    const message = new Message({ ...fields, receivedAt: 0, expiresAt: 10_000 })
    const left = (now: number, qos: QoS, identifiers: number[] = []) => {
      const packet = parsed(encodePublish(message, { ...options, qos, now, identifiers }))
      return (packet as { properties: { messageExpiryInterval: number } }).properties.messageExpiryInterval
    }
    for (const qos of [0, 1, 2] as const) {
      for (const identifiers of [[], [5]]) {
        expect(left(0, qos, identifiers)).toBe(10)
        expect(left(999, qos, identifiers)).toBe(10)
        expect(left(1000, qos, identifiers)).toBe(9)
        expect(left(9999, qos, identifiers)).toBe(1)
      }
    }
  })

  it('[MQTT-4.3.3-7] is sent again after its expiry, with one second left', () => {
    const message = new Message({ ...fields, expiresAt: 10_000 })
    const bytes = encodePublish(message, { ...options, qos: 2, dup: true, now: 60_000 })
    expect(readBack(bytes)).toMatchObject({ dup: true, messageExpiryInterval: 1 })
  })

  it('never carries more than the longest interval', () => {
    const message = new Message({ ...fields, expiresAt: Number.MAX_SAFE_INTEGER })
    expect(readBack(encodePublish(message, options))).toMatchObject({ messageExpiryInterval: 0xffff_ffff })
  })
})

it('round trips: what is encoded in any way is read back, and its size was known', () => {
  const text = fc.string({ unit: 'grapheme', maxLength: 20 })
  const topic = fc.string({ unit: fc.constantFrom('a', '/', 'é', '🌡'), minLength: 1, maxLength: 90 })
  const input = fc.record({
    topic,
    payload: fc.oneof(fc.uint8Array({ maxLength: 300 }), fc.constant(new Uint8Array(20_000))),
    properties: fc.option(
      fc.record(
        {
          payloadFormat: fc.constantFrom(0 as const, 1 as const),
          contentType: text,
          responseTopic: topic,
          correlationData: fc.uint8Array({ maxLength: 200 }).map((data) => Buffer.from(data)),
          userProperties: fc.array(fc.tuple(text, text), { minLength: 1, maxLength: 4 }),
        },
        { requiredKeys: [] },
      ),
      { nil: undefined },
    ),
    expiresAt: fc.option(fc.integer({ min: 1, max: 1e12 }), { nil: undefined }),
  })
  const receiver = fc.record({
    version: fc.constantFrom(3 as const, 4 as const, 5 as const),
    qos: fc.constantFrom(0 as const, 1 as const, 2 as const),
    retain: fc.boolean(),
    dup: fc.boolean(),
    packetId: fc.integer({ min: 1, max: 65_535 }),
  })
  fc.assert(
    fc.property(input, fc.array(receiver, { minLength: 1, maxLength: 4 }), (given, receivers) => {
      const payload = Buffer.from(given.payload)
      const message = new Message({ ...fields, ...given, payload })
      for (const each of receivers) {
        const how = { ...options, ...each }
        const bytes = encodePublish(message, how)
        expect(publishSize(message, how)).toBe(bytes.length)
        const v5 = each.version === 5
        const hasProperties = v5 && given.properties !== undefined && Object.keys(given.properties).length > 0
        expect(readBack(bytes, each.version)).toEqual({
          type: 'publish',
          topic: given.topic,
          payload: payload.toString('hex'),
          qos: each.qos,
          retain: each.retain,
          dup: each.dup && each.qos > 0,
          packetId: each.qos > 0 ? each.packetId : 0,
          properties: hasProperties ? given.properties : undefined,
          messageExpiryInterval:
            v5 && given.expiresAt !== undefined
              ? Math.min(Math.ceil(given.expiresAt / 1000), 0xffff_ffff)
              : undefined,
          wireLength: bytes.length,
        })
      }
    }),
    { numRuns: 2000 },
  )
})
