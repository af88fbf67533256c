import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Message } from '../contract/message.js'
import { DamagedValue, ValueReader, ValueWriter } from './bytes.js'
import {
  decodeEntry,
  decodeEntryHead,
  decodeMessage,
  decodeNumber,
  decodeSession,
  decodeSubscription,
  decodeWill,
  encodeInlineEntry,
  encodeMessage,
  encodeNumber,
  encodeReleasedEntry,
  encodeSession,
  encodeSharedEntry,
  encodeSubscription,
  encodeWill,
} from './values.js'

const text = fc.string({ unit: 'grapheme', maxLength: 40 })
const number = fc.oneof(fc.maxSafeNat(), fc.nat(300))
const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array))
const qos = fc.constantFrom(0, 1, 2)
const maybe = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(arbitrary, { nil: undefined })
// `expiresAt` and the like are stored one higher, so that 0 can stand for their absence.
const time = maybe(fc.maxSafeNat().map((value) => Math.max(0, value - 1)))

const message = fc
  .record({
    topic: text,
    payload: bytes,
    qos,
    retain: fc.boolean(),
    publisherId: maybe(text),
    receivedAt: number,
    expiresAt: time,
    properties: maybe(
      fc.record(
        {
          payloadFormat: fc.constantFrom(0, 1),
          contentType: text,
          responseTopic: text,
          correlationData: bytes,
          userProperties: fc.array(fc.tuple(text, text), { maxLength: 4 }),
        },
        { requiredKeys: [] },
      ),
    ),
  })
  .map((fields) => new Message(fields))

const delivery = fc.record({
  qos,
  retain: fc.boolean(),
  identifiers: fc.array(fc.integer({ min: 1, max: 268_435_455 }), { maxLength: 4 }),
  sharedFilter: maybe(text),
})

const subscription = fc.record({
  filter: text,
  share: maybe(text),
  qos,
  noLocal: fc.boolean(),
  retainAsPublished: fc.boolean(),
  retainHandling: fc.constantFrom(0, 1, 2),
  identifier: maybe(fc.integer({ min: 1, max: 268_435_455 })),
})

const session = fc.record({ clientId: text, expiryInterval: number, expiresAt: time })
const will = fc.record({ message, delayInterval: number, dueAt: time })

const writer = new ValueWriter()
const plain = ({ topic, payload, properties, publisherId, ...rest }: Message): object => ({
  topic,
  payload: payload.toString('hex'),
  properties: properties && {
    ...properties,
    correlationData: properties.correlationData?.toString('hex'),
  },
  publisherId,
  qos: rest.qos,
  retain: rest.retain,
  receivedAt: rest.receivedAt,
  expiresAt: rest.expiresAt,
})

const decoders = [
  decodeSession,
  decodeNumber,
  decodeSubscription,
  decodeMessage,
  decodeWill,
  decodeEntry,
  decodeEntryHead,
]

/** Any value that the store may write. */
const anyValue = fc.oneof(
  session.map((value) => encodeSession(writer, value)),
  number.map((value) => encodeNumber(writer, value)),
  subscription.map((value) => encodeSubscription(writer, value)),
  message.map((value) => encodeMessage(writer, value)),
  will.map((value) => encodeWill(writer, value)),
  fc.tuple(message, delivery).map(([m, d]) => encodeInlineEntry(writer, m, d)),
  fc.tuple(message, number, delivery).map(([m, body, d]) => encodeSharedEntry(writer, m, body, d)),
  fc.constant(null).map(() => encodeReleasedEntry(writer)),
)

function decodesOrIsDamaged(decode: (value: Buffer) => unknown, value: Buffer): void {
  try {
    decode(value)
  } catch (error) {
    if (!(error instanceof DamagedValue)) throw error
  }
}

describe('the values of the level store', () => {
  it('come back as they were', () => {
    fc.assert(
      fc.property(session, subscription, number, (s, sub, n) => {
        expect(decodeSession(encodeSession(writer, s))).toEqual(s)
        expect(decodeSubscription(encodeSubscription(writer, sub))).toEqual(sub)
        expect(decodeNumber(encodeNumber(writer, n))).toBe(n)
      }),
    )
    fc.assert(
      fc.property(message, will, (m, w) => {
        expect(plain(decodeMessage(encodeMessage(writer, m)))).toEqual(plain(m))
        const read = decodeWill(encodeWill(writer, w))
        expect({ ...read, message: plain(read.message) }).toEqual({ ...w, message: plain(w.message) })
      }),
    )
  })

  it('of queues come back as they were, and their heads alone', () => {
    fc.assert(
      fc.property(message, delivery, number, (m, d, body) => {
        const { expiresAt } = m
        const size = m.payload.length
        const inline = encodeInlineEntry(writer, m, d)
        const { message: read, ...rest } = decodeEntry(inline)
        expect(rest).toEqual({ kind: 'inline', size, expiresAt, body: 0, delivery: d })
        expect(read && plain(read)).toEqual(plain(m))
        expect(decodeEntryHead(inline)).toEqual({ kind: 'inline', size, expiresAt, body: 0 })
        const shared = encodeSharedEntry(writer, m, body, d)
        const expected = { kind: 'shared', size, expiresAt, body }
        expect(decodeEntry(shared)).toEqual({ ...expected, delivery: d, message: undefined })
        expect(decodeEntryHead(shared)).toEqual(expected)
        expect(decodeEntry(encodeReleasedEntry(writer))).toMatchObject({ kind: 'released', size: 0 })
      }),
    )
  })

  it('of any bytes are read or called damaged, never anything else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (random) => {
        for (const decode of decoders) decodesOrIsDamaged(decode, Buffer.from(random))
      }),
      { numRuns: 3_000 },
    )
  })

  it('are called damaged after any change of any byte', () => {
    fc.assert(
      fc.property(anyValue, fc.nat(), fc.integer({ min: 1, max: 255 }), (value, at, flip) => {
        const changed = Buffer.from(value)
        const index = at % changed.length
        changed.writeUInt8(changed.readUInt8(index) ^ flip, index)
        for (const decode of decoders.slice(0, -1)) expect(() => decode(changed)).toThrow(DamagedValue)
        decodesOrIsDamaged(decodeEntryHead, changed)
        expect(() => new ValueReader(value.subarray(0, index))).toThrow(DamagedValue)
      }),
      { numRuns: 2_000 },
    )
  })

  it('with a right checksum over wrong fields are read or called damaged', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (random) => {
        writer.start()
        for (const byte of random) writer.byte(byte)
        const value = writer.finish()
        for (const decode of decoders) decodesOrIsDamaged(decode, value)
      }),
      { numRuns: 5_000 },
    )
  })
})
