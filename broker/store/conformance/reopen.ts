import { describe, expect, it } from 'vitest'
import {
  type Bench,
  accept,
  collect,
  comparable,
  enqueue,
  fieldsOf,
  fullMessage,
  keep,
  message,
  queueText,
  release,
  retainedText,
  settle,
  subscription,
  to,
} from './bench.js'

export function reopenStatements(bench: Bench): void {
  describe('after it was opened again', () => {
    it('has the sessions, their subscriptions and packet identifiers', async () => {
      const session = await bench.store.openSession('c', { cleanStart: false, expiryInterval: 60 })
      await session.subscribe([subscription('a'), subscription('b', { share: 'g', qos: 2 })])
      await session.unsubscribe([{ filter: 'a', share: undefined }])
      await accept(bench.store, { message: message({ qos: 2 }), incoming: { session, packetId: 9 } })
      await session.close(bench.clock.now() + 60_000)
      await bench.reopen()
      expect(await collect(bench.store.sessions())).toEqual([
        {
          clientId: 'c',
          subscriptions: [subscription('b', { share: 'g', qos: 2 })],
          expiryInterval: 60,
          expiresAt: bench.clock.now() + 60_000,
        },
      ])
      const again = await bench.store.openSession('c', keep)
      expect(again).toMatchObject({
        present: true,
        subscriptions: [subscription('b', { share: 'g', qos: 2 })],
      })
      expect([...again.incoming]).toEqual([9])
    })

    it('goes on with the queues where they were', async () => {
      let session = await bench.store.openSession('c', keep)
      for (const text of ['a', 'b', 'c', 'd', 'e'])
        await accept(bench.store, { message: message({ text }), recipients: to('c', 'nobody') })
      await settle(session, 1)
      await settle(session, 3)
      await release(session, 4)
      for (let round = 0; round < 2; round++) {
        await bench.reopen()
        session = await bench.store.openSession('c', keep)
        expect(session).toMatchObject({ queued: 3, settledUpTo: 1 })
        expect(await queueText(session)).toBe('2:b 4: 5:e')
      }
      expect((await enqueue(session, message({ text: 'f' }))).sequences).toEqual([6])
      expect(await queueText(session)).toBe('2:b 4: 5:e 6:f')
    })

    it('never gives out a sequence number twice', async () => {
      let session = await bench.store.openSession('c', keep)
      let last = 0
      for (let round = 0; round < 4; round++) {
        for (let i = 0; i < 3; i++) {
          const [sequence] = (await accept(bench.store, { message: message(), recipients: to('c') }))
            .sequences
          expect(sequence).toBe(++last)
        }
        for (let i = round % 2; i < 3; i++) await settle(session, last - 2 + i)
        await bench.reopen()
        session = await bench.store.openSession('c', keep)
      }
      expect(session.queued).toBe(2)
    })

    it('keeps the bounds: what was stored counts', async () => {
      await bench.useLimits({
        queuedMessages: 2,
        queuedBytes: 8,
        whenFull: 'refuse-new',
        retainedMessages: 1,
      })
      await bench.store.openSession('c', keep)
      await accept(bench.store, { message: message({ text: '12345' }), recipients: to('c', 'nobody') })
      await accept(bench.store, { message: message({ topic: 'r' }), retain: true })
      await bench.reopen({ queuedMessages: 2, queuedBytes: 8, whenFull: 'refuse-new', retainedMessages: 1 })
      const refused = await accept(bench.store, { message: message({ text: '1234' }), recipients: to('c') })
      expect(refused.sequences).toEqual([undefined])
      expect((await accept(bench.store, { message: message({ topic: 's' }), retain: true })).error).toBe(
        'QUOTA_EXCEEDED',
      )
    })

    it('has the retained messages and the wills', async () => {
      const full = fullMessage(bench.clock.now())
      await accept(bench.store, { message: full, retain: true })
      await accept(bench.store, { message: message({ topic: 'zero', qos: 0 }), retain: true })
      await accept(bench.store, { message: message({ topic: 'gone', qos: 0 }), retain: true })
      await accept(bench.store, { message: message({ topic: 'gone', text: '', qos: 0 }), retain: true })
      await bench.store.putWill('a', { message: full, delayInterval: 7, dueAt: undefined })
      await bench.store.putWill('a', { message: full, delayInterval: 7, dueAt: 5 })
      await bench.store.putWill('b', { message: full, delayInterval: 7, dueAt: undefined })
      await bench.store.deleteWill('b')
      await bench.reopen()
      expect(await retainedText(bench.store, '#')).toEqual([
        'zero=x',
        `${full.topic}=${full.payload.toString()}`,
      ])
      const [chunk] = await collect(bench.store.retained(full.topic))
      expect(chunk?.map((retained) => comparable({ message: retained }))).toEqual([fieldsOf(full)])
      expect(
        (await collect(bench.store.wills())).map(([id, { message: m, ...rest }]) => ({
          id,
          ...rest,
          ...comparable({ message: m }),
        })),
      ).toEqual([{ id: 'a', delayInterval: 7, dueAt: 5, ...fieldsOf(full) }])
    })

    it('does not bring back what was discarded', async () => {
      const session = await bench.store.openSession('c', keep)
      await session.subscribe([subscription('a')])
      await accept(bench.store, { message: message(), recipients: to('c') })
      await bench.store.discardSession('c')
      await bench.store.openSession('d', keep)
      await bench.reopen()
      expect((await collect(bench.store.sessions())).map(({ clientId }) => clientId)).toEqual(['d'])
      expect(await bench.store.openSession('c', keep)).toMatchObject({
        present: false,
        subscriptions: [],
        queued: 0,
      })
    })

    it('finds messages that expired meanwhile, and hands them out to nobody', async () => {
      await bench.store.openSession('c', keep)
      await accept(bench.store, {
        message: message({ expiresAt: bench.clock.now() + 1 }),
        recipients: to('c', 'nobody'),
        retain: true,
      })
      await bench.store.close()
      bench.clock.advance(1)
      bench.store = bench.make()
      await bench.store.open()
      expect(await queueText(await bench.store.openSession('c', keep))).toBe('')
      expect(await retainedText(bench.store, '#')).toEqual([])
    })
  })
}
