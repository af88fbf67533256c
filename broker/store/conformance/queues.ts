import { describe, expect, it } from 'vitest'
import {
  type Bench,
  type Outcome,
  accept,
  enqueue,
  keep,
  message,
  plain,
  queueText,
  readAll,
  release,
  settle,
  to,
} from './bench.js'

export function queueStatements(bench: Bench): void {
  describe('queues', () => {
    it('number entries from 1 without gaps, whatever was settled', async () => {
      const session = await bench.store.openSession('c', keep)
      for (let i = 1; i <= 100; i++) {
        const { sequences } = await accept(bench.store, { message: message(), recipients: to('c') })
        expect(sequences).toEqual([i])
        await settle(session, i)
      }
      expect((await enqueue(session, message())).sequences).toEqual([101])
      expect(session).toMatchObject({ queued: 1, settledUpTo: 100 })
    })

    it('are settled in any order, and more than once', async () => {
      const session = await bench.store.openSession('c', keep)
      for (let i = 1; i <= 5; i++) await accept(bench.store, { message: message(), recipients: to('c') })
      for (const sequence of [2, 4, 2, 1, 99]) expect(await settle(session, sequence)).toBeUndefined()
      expect(await queueText(session)).toBe('3:x 5:x')
      expect(session).toMatchObject({ queued: 2, settledUpTo: 2 })
      const again = await bench.store.openSession('c', keep)
      expect(again).toMatchObject({ queued: 2, settledUpTo: 2 })
    })

    it('are read from a cursor, so many and so many bytes at a time', async () => {
      const session = await bench.store.openSession('c', keep)
      for (let i = 1; i <= 5; i++)
        await accept(bench.store, { message: message({ text: '1234' }), recipients: to('c') })
      const read = async (after: number, messages: number, bytes: number): Promise<number[]> =>
        (await session.read(after, { messages, bytes })).map(({ sequence }) => sequence)
      expect(await read(0, 2, 100)).toEqual([1, 2])
      expect(await read(2, 100, 100)).toEqual([3, 4, 5])
      expect(await read(0, 100, 8)).toEqual([1, 2])
      expect(await read(0, 100, 11)).toEqual([1, 2])
      expect(await read(0, 100, 1)).toEqual([1])
      expect(await read(5, 100, 100)).toEqual([])
      expect(await read(0, 0, 100)).toEqual([])
    })

    it('keep their order over thousands of entries', async () => {
      await bench.useLimits({ queuedMessages: 5_000 })
      const session = await bench.store.openSession('c', keep)
      const accepted: Promise<Outcome>[] = []
      for (let i = 1; i <= 3_000; i++)
        accepted.push(accept(bench.store, { message: message({ text: String(i) }), recipients: to('c') }))
      const sequences = (await Promise.all(accepted)).map((outcome) => outcome.sequences[0])
      expect(sequences).toEqual(Array.from({ length: 3_000 }, (_, i) => i + 1))
      const entries = await readAll(session)
      expect(entries.map((entry) => entry.message?.payload.toString())).toEqual(
        Array.from({ length: 3_000 }, (_, i) => String(i + 1)),
      )
    })

    it('keep a released entry without its message', async () => {
      const session = await bench.store.openSession('c', keep)
      await accept(bench.store, { message: message({ qos: 2 }), recipients: to('c', 'nobody') })
      await accept(bench.store, { message: message({ qos: 2 }), recipients: to('c') })
      expect(await release(session, 1)).toBeUndefined()
      expect(await release(session, 1)).toBeUndefined()
      expect(await release(session, 99)).toBeUndefined()
      const [first, second] = await readAll(session)
      expect(first).toEqual({ sequence: 1, message: undefined, delivery: { ...plain, qos: 2 } })
      expect(second?.message?.payload.toString()).toBe('x')
      expect(await settle(session, 1)).toBeUndefined()
      expect(await queueText(session)).toBe('2:x')
    })

    it('see every write that was called before a read', async () => {
      const session = await bench.store.openSession('c', keep)
      void accept(bench.store, { message: message({ text: 'a' }), recipients: to('c') })
      void accept(bench.store, { message: message({ text: 'b' }), recipients: to('c') })
      void settle(session, 1)
      expect(await queueText(session)).toBe('2:b')
    })

    it('hand out no expired message, and remove it [MQTT-3.3.2-5]', async () => {
      const session = await bench.store.openSession('c', keep)
      const soon = { expiresAt: bench.clock.now() + 1_000 }
      await accept(bench.store, { message: message({ ...soon, text: 'a' }), recipients: to('c') })
      await accept(bench.store, { message: message({ text: 'b' }), recipients: to('c') })
      await accept(bench.store, { message: message({ ...soon, text: 'c' }), recipients: to('c', 'nobody') })
      expect(await queueText(session)).toBe('1:a 2:b 3:c')
      bench.clock.advance(1_000)
      bench.events.lines.length = 0
      expect(await queueText(session)).toBe('2:b')
      expect(await queueText(session)).toBe('2:b')
      // The removal itself may come behind; it is done before what is called after it.
      await accept(bench.store, { message: message(), recipients: to('c') })
      expect(session.queued).toBe(2)
      expect(bench.events.lines).toEqual(['messagesExpired c 2'])
    })

    it('hand out what may have been sent before it expired [MQTT-4.3.3-7]', async () => {
      const session = await bench.store.openSession('c', keep)
      for (const text of ['a', 'b'])
        await accept(bench.store, {
          message: message({ expiresAt: bench.clock.now() + 1_000, text }),
          recipients: to('c'),
        })
      bench.clock.advance(1_000)
      const entries = await session.read(0, { messages: 10, bytes: 1_000, startedUpTo: 1 })
      expect(entries.map(({ sequence }) => sequence)).toEqual([1])
    })

    it('drop the oldest where the policy says so, and count it', async () => {
      await bench.useLimits({ queuedMessages: 2, whenFull: 'drop-oldest' })
      const session = await bench.store.openSession('c', keep)
      for (const text of ['a', 'b', 'c'])
        await accept(bench.store, { message: message({ text }), recipients: to('c') })
      expect(await queueText(session)).toBe('2:b 3:c')
      expect(session).toMatchObject({ queued: 2, settledUpTo: 1, queuedUpTo: 3 })
      expect(bench.events.lines).toEqual(['queueDropped c drop-oldest 1'])
    })

    it('refuse the new where the policy says so, and count it', async () => {
      await bench.useLimits({ queuedMessages: 2, whenFull: 'refuse-new' })
      const session = await bench.store.openSession('c', keep)
      const sequences = []
      for (const text of ['a', 'b', 'c'])
        sequences.push(
          ...(await accept(bench.store, { message: message({ text }), recipients: to('c') })).sequences,
        )
      expect(sequences).toEqual([1, 2, undefined])
      expect(await enqueue(session, message())).toEqual({ error: undefined, sequences: [undefined] })
      expect(await queueText(session)).toBe('1:a 2:b')
      expect(bench.events.lines).toEqual(['queueDropped c refuse-new 1', 'queueDropped c refuse-new 1'])
      await settle(session, 1)
      expect((await accept(bench.store, { message: message(), recipients: to('c') })).sequences).toEqual([3])
    })

    it('are bounded in bytes as well', async () => {
      await bench.useLimits({ queuedBytes: 10, whenFull: 'drop-oldest' })
      const session = await bench.store.openSession('c', keep)
      for (const text of ['aaaa', 'bbbb', 'cccccc'])
        await accept(bench.store, { message: message({ text }), recipients: to('c') })
      expect(await queueText(session)).toBe('2:bbbb 3:cccccc')
      const { sequences } = await accept(bench.store, {
        message: message({ text: 'd'.repeat(11) }),
        recipients: to('c'),
      })
      expect(sequences).toEqual([undefined])
      expect(await queueText(session)).toBe('2:bbbb 3:cccccc')
      expect(bench.events.lines).toEqual(['queueDropped c drop-oldest 1', 'queueDropped c drop-oldest 1'])
    })

    it('bound each recipient for itself', async () => {
      await bench.useLimits({ queuedMessages: 1, whenFull: 'refuse-new' })
      await bench.store.openSession('a', keep)
      await bench.store.openSession('b', keep)
      await accept(bench.store, { message: message(), recipients: to('a') })
      const { sequences } = await accept(bench.store, { message: message(), recipients: to('a', 'b') })
      expect(sequences).toEqual([undefined, 1])
    })

    it('make room from what has expired before anything else gives way', async () => {
      await bench.useLimits({ queuedMessages: 1, whenFull: 'refuse-new' })
      const session = await bench.store.openSession('c', keep)
      await accept(bench.store, {
        message: message({ expiresAt: bench.clock.now() + 1 }),
        recipients: to('c'),
      })
      bench.clock.advance(1)
      expect((await accept(bench.store, { message: message(), recipients: to('c') })).sequences).toEqual([2])
      expect(session.queued).toBe(1)
      expect(bench.events.lines).toEqual(['messagesExpired c 1'])
    })

    it('never drop a released entry: its PUBREL is still owed', async () => {
      await bench.useLimits({ queuedMessages: 2, whenFull: 'drop-oldest' })
      const session = await bench.store.openSession('c', keep)
      await accept(bench.store, { message: message({ text: 'a' }), recipients: to('c') })
      await release(session, 1)
      for (const text of ['b', 'c', 'd'])
        await accept(bench.store, { message: message({ text }), recipients: to('c') })
      expect(await queueText(session)).toBe('1: 4:d')
      await release(session, 4)
      expect((await accept(bench.store, { message: message(), recipients: to('c') })).sequences).toEqual([
        undefined,
      ])
    })
  })
}
