import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Addressees, NodeQuestion, QueuedPlace } from '../../contract/cluster.js'
import { Message, type PublishProperties } from '../../contract/message.js'
import {
  beginMessage,
  endMessage,
  Entry,
  toAll,
  toQueued,
  toShared,
  writeAnswer,
  writeHead,
  writeInterest,
  writeQuestion,
  type InterestChange,
} from './entry.js'
import { DamagedEntry, EntryWriter } from './entry-bytes.js'
import { MessageBodies } from './message-body.js'

type Item =
  | { readonly message: Message; readonly addressees: Addressees }
  | { readonly interest: InterestChange }
  | { readonly question: NodeQuestion; readonly id: number }
  | { readonly answer: number }

const text = fc.string({ unit: 'binary', maxLength: 80 }).map((each) => each.replace(/[\ud800-\udfff]/g, 'x'))
const bytes = fc.uint8Array({ maxLength: 300 }).map((each) => Buffer.from(each))
const number = fc.maxSafeNat()
const time = fc.nat({ max: 2 ** 48 - 1 })
const qos = fc.constantFrom(0 as const, 1 as const, 2 as const)
const properties: fc.Arbitrary<PublishProperties> = fc.record(
  {
    payloadFormat: fc.constantFrom(0 as const, 1 as const),
    contentType: text,
    responseTopic: text,
    correlationData: bytes,
    userProperties: fc.array(fc.tuple(text, text), { maxLength: 4 }),
  },
  { requiredKeys: [] },
)
const message = fc
  .record({
    topic: text,
    payload: bytes,
    qos,
    retain: fc.boolean(),
    receivedAt: time,
    expiresAt: fc.option(time, { nil: undefined }),
    publisherId: fc.option(text, { nil: undefined }),
    properties: fc.option(properties, { nil: undefined }),
  })
  .map((fields) => new Message(fields))
const place: fc.Arbitrary<QueuedPlace> = fc.record({
  clientId: text,
  sequence: number,
  delivery: fc.record({
    qos,
    retain: fc.boolean(),
    identifiers: fc.array(fc.integer({ min: 1, max: 268_435_455 }), { maxLength: 4 }),
    sharedFilter: fc.option(text, { nil: undefined }),
  }),
})
const addressees: fc.Arbitrary<Addressees> = fc.record({
  all: fc.boolean(),
  sharedFilters: fc.array(text, { maxLength: 3 }),
  queued: fc.array(place, { maxLength: 3 }),
})
const question: fc.Arbitrary<NodeQuestion> = fc.oneof(
  fc.constant({ kind: 'caught-up' } as const),
  fc.record({
    kind: fc.constant('takeover' as const),
    clientId: text,
    epoch: number,
    sessionEnds: fc.boolean(),
  }),
)
const interest: fc.Arbitrary<InterestChange> = fc.record({
  base: number,
  version: number,
  wanted: fc.array(fc.tuple(text, number), { maxLength: 5 }),
})
const item: fc.Arbitrary<Item> = fc.oneof(
  fc.record({ message, addressees }),
  fc.record({ interest }),
  fc.record({ id: number, question }),
  fc.record({ answer: number }),
)

describe('an entry', () => {
  it('comes out as it went in', () => {
    fc.assert(
      fc.property(text, number, fc.array(item, { maxLength: 10 }), (sender, count, items) => {
        const entry = new Entry(encode(sender, count, items))
        expect([entry.sender, entry.number]).toEqual([sender, count])
        expect(plain(read(entry))).toEqual(plain(items))
      }),
    )
  })

  it('that is damaged says so, whichever bit or length is wrong, and does nothing else', () => {
    const flaw = fc.oneof(
      fc.record({ flip: fc.nat(), bit: fc.nat({ max: 7 }) }),
      fc.record({ keep: fc.nat() }),
      fc.record({ extra: fc.uint8Array({ minLength: 1, maxLength: 9 }) }),
    )
    fc.assert(
      fc.property(fc.array(item, { minLength: 1, maxLength: 5 }), flaw, (items, how) => {
        const whole = encode('sender', 1, items)
        expect(() => read(new Entry(damage(whole, how)))).toThrow(DamagedEntry)
      }),
    )
  })

  it('of any bytes at all with a right checksum is read, or is damaged', () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 255 }), { maxLength: 200 }), (content) => {
        const writer = new EntryWriter().start().text('s').number(1)
        for (const each of content) writer.byte(each)
        try {
          read(new Entry(writer.finish()))
        } catch (error) {
          expect(error).toBeInstanceOf(DamagedEntry)
        }
      }),
      { numRuns: 2_000 },
    )
  })

  it('of no length or another version is damaged', () => {
    expect(() => new Entry(Buffer.alloc(0))).toThrow(DamagedEntry)
    const other = encode('s', 1, [])
    other[0] = 9
    expect(() => new Entry(other)).toThrow(/version/)
  })

  it.each([0, 1] as const)('holds the payload as a view at QoS 0 alone: QoS %i', (level) => {
    const sent = new Message({
      topic: 't',
      payload: Buffer.from('body'),
      qos: level,
      retain: false,
      receivedAt: 1,
    })
    const whole = encode('s', 1, [
      { message: sent, addressees: { all: true, sharedFilters: [], queued: [] } },
    ])
    const [first] = read(new Entry(whole))
    const { payload } = (first as { message: Message }).message
    const start = payload.byteOffset - whole.byteOffset
    const isView = payload.buffer === whole.buffer && start > 0 && start < whole.length
    expect([payload.toString(), isView]).toEqual(['body', level === 0])
  })
})

function encode(sender: string, count: number, items: readonly Item[]): Buffer {
  const writer = new EntryWriter()
  const bodies = new MessageBodies()
  writeHead(writer, sender, count)
  for (const each of items)
    if ('message' in each) {
      beginMessage(writer, bodies.of(each.message))
      if (each.addressees.all) toAll(writer)
      for (const filter of each.addressees.sharedFilters) toShared(writer, filter)
      for (const queued of each.addressees.queued) toQueued(writer, queued)
      endMessage(writer)
    } else if ('interest' in each) writeInterest(writer, each.interest)
    else if ('question' in each) writeQuestion(writer, each.id, each.question)
    else writeAnswer(writer, each.answer)
  return writer.finish()
}

function read(entry: Entry): Item[] {
  const items: Item[] = []
  entry.read({
    message: (sent, to) => items.push({ message: sent, addressees: to }),
    interest: (change) => items.push({ interest: change }),
    question: (id, asked) => items.push({ id, question: asked }),
    answer: (id) => items.push({ answer: id }),
  })
  return items
}

/** Without what differs in memory alone: pools of buffers, records without a prototype. */
function plain(items: readonly Item[]): unknown {
  return JSON.parse(
    JSON.stringify(items, (_, value: unknown) => (value instanceof Message ? fieldsOf(value) : value)),
  )
}

function fieldsOf({
  topic,
  payload,
  qos: level,
  retain,
  receivedAt,
  expiresAt,
  publisherId,
  properties: own,
}: Message) {
  return { topic, payload, level, retain, receivedAt, expiresAt, publisherId, own }
}

function damage(
  whole: Buffer,
  how: { flip: number; bit: number } | { keep: number } | { extra: Uint8Array },
): Buffer {
  if ('keep' in how) return whole.subarray(0, how.keep % whole.length)
  if ('extra' in how) return Buffer.concat([whole, how.extra])
  const copy = Buffer.from(whole)
  const at = how.flip % copy.length
  copy[at] = (copy[at] ?? 0) ^ (1 << how.bit)
  return copy
}
