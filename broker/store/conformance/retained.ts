import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { filterMatches } from '../../contract/topic.js'
import type { StoredWill } from '../../contract/store.js'
import {
  type Bench,
  ODD_IDS,
  type Outcome,
  accept,
  collect,
  comparable,
  fieldsOf,
  fullMessage,
  keep,
  message,
  retainedText,
  to,
} from './bench.js'

export function retainedStatements(bench: Bench): void {
  describe('retained messages', () => {
    it('are kept by topic, replaced, and cleared by an empty payload', async () => {
      for (const qos of [0, 1] as const) {
        await accept(bench.store, { message: message({ topic: 'a', text: '1', qos }), retain: true })
        await accept(bench.store, { message: message({ topic: 'b', text: '1', qos }), retain: true })
        await accept(bench.store, { message: message({ topic: 'a', text: '2', qos }), retain: true })
        expect(await retainedText(bench.store, '#')).toEqual(['a=2', 'b=1'])
        expect(bench.store.retainedCount).toBe(2)
        for (const topic of ['a', 'b', 'c'])
          await accept(bench.store, { message: message({ topic, text: '', qos }), retain: true })
        expect(await retainedText(bench.store, '#')).toEqual([])
        expect(bench.store.retainedCount).toBe(0)
      }
    })

    it('keep the whole message', async () => {
      const full = fullMessage(bench.clock.now())
      await accept(bench.store, { message: full, retain: true })
      const [chunk] = await collect(bench.store.retained(full.topic))
      expect(chunk?.map((retained) => comparable({ message: retained }))).toEqual([fieldsOf(full)])
    })

    it('of QoS 0 are visible at once', async () => {
      bench.store.accept(
        { message: message({ qos: 0, text: 'now' }), recipients: [], retain: true, incoming: undefined },
        () => {},
      )
      expect(bench.store.retainedCount).toBe(1)
      expect(await retainedText(bench.store, 't')).toEqual(['t=now'])
    })

    it('end with the last one published, whatever its QoS', async () => {
      const texts = Array.from({ length: 40 }, (_, i) => String(i))
      const done = texts.map((text, i) =>
        accept(bench.store, { message: message({ text, qos: ((i * 7) % 3) as 0 | 1 | 2 }), retain: true }),
      )
      await Promise.all(done)
      expect(await retainedText(bench.store, '#')).toEqual(['t=39'])
    })

    it('come in chunks of at most 256', async () => {
      await Promise.all(
        Array.from({ length: 600 }, (_, i) =>
          accept(bench.store, { message: message({ topic: `a/${i}` }), retain: true }),
        ),
      )
      const chunks = await collect(bench.store.retained('a/+'))
      expect(chunks.every((chunk) => chunk.length > 0 && chunk.length <= 256)).toBe(true)
      expect(new Set(chunks.flat().map(({ topic }) => topic)).size).toBe(600)
    })

    it('come in chunks of at most 64 KiB, larger ones alone', async () => {
      const sizes = [60_000, 10_000, 10_000, 200_000, 1, 70_000, 65_536]
      for (const [i, size] of sizes.entries())
        await accept(bench.store, {
          message: message({ topic: `a/${i}`, text: 'x'.repeat(size) }),
          retain: true,
        })
      const chunks = await collect(bench.store.retained('a/+'))
      const bytes = chunks.map((chunk) => chunk.reduce((sum, { payload }) => sum + payload.length, 0))
      expect(chunks.every((chunk, i) => chunk.length === 1 || (bytes[i] ?? 0) <= 65_536)).toBe(true)
      expect(
        chunks
          .flat()
          .map(({ payload }) => payload.length)
          .sort(),
      ).toEqual([...sizes].sort())
    })

    it('that have expired are not handed out and do not count', async () => {
      await accept(bench.store, { message: message({ expiresAt: bench.clock.now() + 1 }), retain: true })
      bench.clock.advance(1)
      expect(await retainedText(bench.store, '#')).toEqual([])
      expect(bench.store.retainedCount).toBe(0)
    })

    it('are bounded in number; replacing and clearing stay possible', async () => {
      await bench.useLimits({ retainedMessages: 2 })
      const put = async (topic: string, text: string, qos: 0 | 1 = 1): Promise<string | undefined> =>
        (await accept(bench.store, { message: message({ topic, text, qos }), retain: true })).error
      expect([await put('a', '1'), await put('b', '1', 0)]).toEqual([undefined, undefined])
      expect([await put('c', '1'), await put('c', '1', 0)]).toEqual(['QUOTA_EXCEEDED', 'QUOTA_EXCEEDED'])
      expect([await put('a', '2'), await put('b', '2', 0)]).toEqual([undefined, undefined])
      const together = await Promise.all([put('d', '1'), put('a', ''), put('d', '2'), put('e', '1')])
      expect(together).toEqual(['QUOTA_EXCEEDED', undefined, undefined, 'QUOTA_EXCEEDED'])
      expect(await retainedText(bench.store, '#')).toEqual(['b=2', 'd=2'])
    })

    it('are bounded in bytes; what is replaced by something smaller always is', async () => {
      await bench.useLimits({ retainedBytes: 10 })
      const put = async (topic: string, size: number): Promise<string | undefined> =>
        (await accept(bench.store, { message: message({ topic, text: 'x'.repeat(size) }), retain: true }))
          .error
      expect([await put('a', 6), await put('b', 5), await put('b', 4)]).toEqual([
        undefined,
        'QUOTA_EXCEEDED',
        undefined,
      ])
      expect([await put('a', 7), await put('a', 6), await put('a', 1), await put('b', 9)]).toEqual([
        'QUOTA_EXCEEDED',
        undefined,
        undefined,
        undefined,
      ])
    })

    it('that have expired make room for others', async () => {
      await bench.useLimits({ retainedMessages: 1 })
      for (const qos of [0, 1] as const) {
        const soon = { topic: `soon${qos}`, expiresAt: bench.clock.now() + 1, qos }
        expect((await accept(bench.store, { message: message(soon), retain: true })).error).toBeUndefined()
        bench.clock.advance(1_001)
        const other = message({ topic: 'other', qos })
        expect((await accept(bench.store, { message: other, retain: true })).error).toBeUndefined()
        expect(await retainedText(bench.store, '#')).toEqual(['other=x'])
        await accept(bench.store, { message: message({ topic: 'other', text: '', qos }), retain: true })
      }
    })

    it('match as the topic algebra says', async () => {
      const level = fc.constantFrom('', 'a', 'b', '$SYS', 'constructor', '__proto__', '$')
      const part = fc.constantFrom('', 'a', 'b', '+', '+', '$SYS', '__proto__', '$')
      const topics = fc.array(level, { minLength: 1, maxLength: 4 }).map((levels) => levels.join('/'))
      const filters = fc
        .tuple(fc.array(part, { maxLength: 4 }), fc.boolean())
        .map(([parts, open]) => [...parts, ...(open ? ['#'] : [])].join('/'))
      const property = fc.asyncProperty(
        fc.uniqueArray(topics.filter(Boolean), { maxLength: 12 }),
        fc.uniqueArray(topics.filter(Boolean), { maxLength: 4 }),
        fc.array(filters.filter(Boolean), { minLength: 1, maxLength: 6 }),
        async (kept, cleared, wanted) => {
          for (const topic of kept)
            await accept(bench.store, { message: message({ topic, qos: 0 }), retain: true })
          const clear = (topic: string): Promise<Outcome> =>
            accept(bench.store, { message: message({ topic, text: '', qos: 0 }), retain: true })
          for (const topic of cleared) await clear(topic)
          const left = kept.filter((topic) => !cleared.includes(topic))
          expect(bench.store.retainedCount).toBe(left.length)
          for (const filter of wanted)
            expect([filter, await retainedText(bench.store, filter)]).toEqual([
              filter,
              left
                .filter((topic) => filterMatches(filter, topic))
                .map((topic) => `${topic}=x`)
                .sort(),
            ])
          for (const topic of left) await clear(topic)
        },
      )
      await fc.assert(property, { numRuns: 300 })
    })
  })

  describe('wills', () => {
    const will = (text: string, fields: Partial<StoredWill> = {}): StoredWill => ({
      message: message({ text, topic: 'will', qos: 2, retain: true }),
      delayInterval: 30,
      dueAt: undefined,
      ...fields,
    })
    const listed = async (): Promise<string[]> =>
      (await collect(bench.store.wills()))
        .map(
          ([id, stored]) =>
            `${id}=${stored.message.payload.toString()},${stored.delayInterval},${stored.dueAt}`,
        )
        .sort()

    it('are kept, replaced and deleted by client identifier', async () => {
      for (const id of ODD_IDS) await bench.store.putWill(id, will('1'))
      await bench.store.putWill('a', will('2', { delayInterval: 5, dueAt: 1_800_000_000_500 }))
      await bench.store.deleteWill('ab')
      await bench.store.deleteWill('nobody')
      const expected = ODD_IDS.filter((id) => id !== 'ab').map((id) =>
        id === 'a' ? 'a=2,5,1800000000500' : `${id}=1,30,undefined`,
      )
      expect(await listed()).toEqual(expected.sort())
    })

    it('are removed by the write that publishes them, and stay when that is refused', async () => {
      await bench.useLimits({ retainedMessages: 1 })
      await bench.store.openSession('c', keep)
      for (const id of ['a', 'b', 'd']) await bench.store.putWill(id, will('1'))
      const published = (text: string, topic: string) => ({ message: message({ text, topic }), retain: true })
      expect(
        await accept(bench.store, { ...published('1', 't'), recipients: to('c'), will: 'a' }),
      ).toMatchObject({ error: undefined, sequences: [1] })
      expect((await accept(bench.store, { ...published('1', 'u'), will: 'b' })).error).toBe('QUOTA_EXCEEDED')
      expect((await accept(bench.store, { message: message(), will: 'd' })).error).toBeUndefined()
      expect(await listed()).toEqual(['b=1,30,undefined'])
    })

    it('belong to no session', async () => {
      await bench.store.putWill('c', will('1'))
      await bench.store.openSession('c', { ...keep, cleanStart: true })
      await bench.store.discardSession('c')
      expect(await listed()).toEqual(['c=1,30,undefined'])
    })
  })
}
