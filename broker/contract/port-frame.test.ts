import fc from 'fast-check'
import { expect, it } from 'vitest'
import {
  FrameWriter,
  PublishOutcome,
  readForBroker,
  readForPipelines,
  type ToBroker,
  type ToPipelines,
} from './port-frame.js'

type Entry = readonly [string, ...unknown[]]

/** Keeps each entry that is read, with payloads as text. */
function recorder<Handler extends object>(names: readonly (keyof Handler & string)[]) {
  const entries: Entry[] = []
  const handler = Object.fromEntries(
    names.map((name) => [
      name,
      (...args: unknown[]) => {
        entries.push([name, ...args.map((arg) => (arg instanceof Uint8Array ? [...arg] : arg))])
      },
    ]),
  ) as Handler
  return { entries, handler }
}

const u32 = fc.integer({ min: 0, max: 0xffff_ffff })
const text = fc.string({ unit: 'grapheme', maxLength: 60 })
const bytes = fc.uint8Array({ maxLength: 3_000 }).map((array) => [...array])
const qos = fc.constantFrom(0, 1)

it('reads what was written, in order, towards the pipelines', () => {
  const entry = fc.oneof(
    fc.tuple(fc.constant('subscribed'), u32, u32),
    fc.tuple(fc.constant('unsubscribed'), u32),
    fc.tuple(fc.constant('recalled'), u32, fc.boolean(), bytes),
    fc.tuple(fc.constant('message'), u32, fc.maxSafeNat(), fc.double({ noNaN: true }), text, bytes),
    fc.tuple(fc.constant('published'), u32, fc.constantFrom(...Object.values(PublishOutcome)), text),
  )
  const { entries, handler } = recorder<ToPipelines>([
    'subscribed',
    'unsubscribed',
    'message',
    'published',
    'recalled',
  ])
  const writer = new FrameWriter()
  fc.assert(
    fc.property(fc.array(entry as fc.Arbitrary<Entry>, { minLength: 1 }), (written) => {
      entries.length = 0
      write(writer, written)
      readForPipelines(writer.take(), handler)
      expect(entries).toEqual(written)
      expect(writer.empty).toBe(true)
    }),
  )
})

it('reads what was written, in order, towards the broker', () => {
  const entry = fc.oneof(
    fc.tuple(fc.constant('subscribe'), u32, text, text, qos),
    fc.tuple(fc.constant('grant'), u32, u32, u32),
    fc.tuple(fc.constant('settle'), u32, fc.maxSafeNat()),
    fc.tuple(fc.constant('unsubscribe'), u32),
    fc.tuple(fc.constant('recall'), u32, text),
    fc.tuple(fc.constant('release'), u32),
    fc.tuple(fc.constant('publish'), u32, text, qos, fc.boolean(), text, bytes),
  )
  const { entries, handler } = recorder<ToBroker>([
    'subscribe',
    'grant',
    'settle',
    'unsubscribe',
    'recall',
    'release',
    'publish',
  ])
  const writer = new FrameWriter()
  fc.assert(
    fc.property(fc.array(entry as fc.Arbitrary<Entry>, { minLength: 1 }), (written) => {
      entries.length = 0
      write(writer, written)
      readForBroker(writer.take(), handler)
      expect(entries).toEqual(written)
    }),
  )
})

it('refuses an entry that it does not know', () => {
  const { handler } = recorder<ToBroker>([])
  const writer = new FrameWriter()
  writer.subscribed(1, 1)
  expect(() => {
    readForBroker(writer.take(), handler)
  }).toThrow(/kind 1/)
})

function write(writer: FrameWriter, entries: readonly Entry[]): void {
  for (const [name, ...args] of entries) {
    const call = (writer as unknown as Record<string, (...args: unknown[]) => void>)[name]
    call?.apply(
      writer,
      args.map((arg) => (Array.isArray(arg) ? Uint8Array.from(arg as number[]) : arg)),
    )
  }
}
