import { describe, expect, it } from 'vitest'
import type { Accept } from '../../contract/store.js'
import {
  type Bench,
  type Outcome,
  accept,
  collect,
  comparable,
  enqueue,
  fieldsOf,
  forget,
  fullMessage,
  keep,
  message,
  plain,
  queueText,
  readAll,
  retainedText,
  subscription,
  to,
} from './bench.js'

export function acceptStatements(bench: Bench): void {
  describe('accept', () => {
    it('queues for each recipient and returns its sequence numbers, in their order', async () => {
      const a = await bench.store.openSession('a', keep)
      const b = await bench.store.openSession('b', keep)
      const accepted: Outcome[] = []
      accepted.push(await accept(bench.store, { message: message({ text: 'one' }), recipients: to('a') }))
      accepted.push(
        await accept(bench.store, { message: message({ text: 'two' }), recipients: to('b', 'a') }),
      )
      expect(accepted).toEqual([
        { error: undefined, sequences: [1] },
        { error: undefined, sequences: [1, 2] },
      ])
      expect([await queueText(a), await queueText(b)]).toEqual(['1:one 2:two', '1:two'])
      expect([a.queued, b.queued]).toEqual([2, 1])
    })

    it('passes over sessions that do not exist', async () => {
      await bench.store.openSession('a', keep)
      const { error, sequences } = await accept(bench.store, {
        message: message(),
        recipients: to('nobody', 'a', '__proto__'),
      })
      expect([error, sequences]).toEqual([undefined, [undefined, 1, undefined]])
    })

    it('is done when there is nobody to keep the message for', async () => {
      expect(await accept(bench.store, { message: message() })).toEqual({ error: undefined, sequences: [] })
    })

    it('keeps the whole message and each delivery', async () => {
      const a = await bench.store.openSession('a', keep)
      const b = await bench.store.openSession('b', keep)
      const full = fullMessage(bench.clock.now())
      const forA = { qos: 2, retain: true, identifiers: [1, 268_435_455], sharedFilter: undefined } as const
      const forB = { qos: 1, retain: false, identifiers: [], sharedFilter: '$share/g/#' } as const
      await accept(bench.store, {
        message: full,
        recipients: [
          { clientId: 'a', delivery: forA },
          { clientId: 'b', delivery: forB },
        ],
      })
      await accept(bench.store, { message: full, recipients: [{ clientId: 'b', delivery: forB }] })
      expect((await readAll(a)).map(comparable)).toEqual([{ sequence: 1, delivery: forA, ...fieldsOf(full) }])
      expect((await readAll(b)).map(comparable)).toEqual([
        { sequence: 1, delivery: forB, ...fieldsOf(full) },
        { sequence: 2, delivery: forB, ...fieldsOf(full) },
      ])
    })

    it('owns what it keeps: the read buffer may be used again', async () => {
      const session = await bench.store.openSession('c', keep)
      const buffer = Buffer.from('before the write|retained')
      const view = (from: number, until: number): Buffer => buffer.subarray(from, until)
      const done = [
        accept(bench.store, { message: message({ payload: view(0, 6) }), recipients: to('c') }),
        accept(bench.store, { message: message({ payload: view(7, 10) }), recipients: to('c', 'nobody') }),
        accept(bench.store, { message: message({ payload: view(17, 25), topic: 'r1' }), retain: true }),
        accept(bench.store, {
          message: message({ payload: view(17, 25), topic: 'r0', qos: 0 }),
          retain: true,
        }),
        enqueue(session, message({ payload: view(11, 16) })),
        bench.store.putWill('c', {
          message: message({ payload: view(0, 6) }),
          delayInterval: 0,
          dueAt: undefined,
        }),
      ]
      buffer.fill('!')
      await Promise.all(done)
      expect(await queueText(session)).toBe('1:before 2:the 3:write')
      expect(await retainedText(bench.store, '#')).toEqual(['r0=retained', 'r1=retained'])
      expect((await collect(bench.store.wills()))[0]?.[1].message.payload.toString()).toBe('before')
    })

    it('is all or nothing: without room for the retained message nothing is queued', async () => {
      await bench.useLimits({ retainedMessages: 1 })
      const session = await bench.store.openSession('c', keep)
      await accept(bench.store, { message: message({ topic: 'first' }), retain: true })
      const { error } = await accept(bench.store, {
        message: message({ topic: 'second', qos: 2 }),
        retain: true,
        recipients: to('c'),
        incoming: { session, packetId: 3 },
      })
      expect(error).toBe('QUOTA_EXCEEDED')
      expect([session.queued, await queueText(session), [...session.incoming]]).toEqual([0, '', []])
      expect([...(await bench.store.openSession('c', keep)).incoming]).toEqual([])
    })

    it('tells a publisher that has been replaced so, also when there is no room for the retained message', async () => {
      await bench.useLimits({ retainedMessages: 1 })
      const session = await bench.store.openSession('c', keep)
      await accept(bench.store, { message: message({ topic: 'first' }), retain: true })
      await bench.store.openSession('c', keep)
      const { error } = await accept(bench.store, {
        message: message({ topic: 'second', qos: 2 }),
        retain: true,
        incoming: { session, packetId: 3 },
      })
      expect(error).toBe('SESSION_TAKEN')
    })

    it('remembers the packet identifier of a QoS 2 publish until it is forgotten', async () => {
      const session = await bench.store.openSession('c', keep)
      for (const packetId of [1, 65_535])
        await accept(bench.store, { message: message({ qos: 2 }), incoming: { session, packetId } })
      expect([...session.incoming].sort()).toEqual([1, 65_535])
      expect([...(await bench.store.openSession('c', keep)).incoming].sort()).toEqual([1, 65_535])
      const again = await bench.store.openSession('c', keep)
      expect(await forget(again, 1)).toBeUndefined()
      expect(await forget(again, 1)).toBeUndefined()
      expect([...again.incoming]).toEqual([65_535])
      expect([...(await bench.store.openSession('c', keep)).incoming]).toEqual([65_535])
    })

    it('calls back in the order of the calls, whatever their kind', async () => {
      const session = await bench.store.openSession('c', keep)
      await accept(bench.store, { message: message(), recipients: to('c') })
      const order: string[] = []
      const note = (name: string) => (): void => void order.push(name)
      const retained = (topic: string, qos: 0 | 1): Accept => ({
        message: message({ topic, qos }),
        recipients: [],
        retain: true,
        incoming: undefined,
      })
      bench.store.accept({ ...retained('a', 1), recipients: to('c') }, note('accept'))
      bench.store.accept(retained('b', 0), note('retained at QoS 0'))
      session.settle(1, note('settle'))
      bench.store.accept({ ...retained('a', 1), retain: false }, note('nothing to keep'))
      session.enqueue(message(), plain, note('enqueue'))
      session.release(2, note('release'))
      const later = [
        session.subscribe([subscription('a')]).then(note('subscribe')),
        bench.store
          .putWill('c', { message: message(), delayInterval: 0, dueAt: undefined })
          .then(note('will')),
      ]
      session.forgetIncoming(1, note('forget'))
      bench.store.accept(retained('c', 1), note('last'))
      await Promise.all(later)
      await accept(bench.store, { message: message(), recipients: to('c') })
      const called = order.filter((name) => name !== 'subscribe' && name !== 'will')
      expect(called).toEqual([
        'accept',
        'retained at QoS 0',
        'settle',
        'nothing to keep',
        'enqueue',
        'release',
        'forget',
        'last',
      ])
      expect(order.indexOf('subscribe')).toBeLessThan(order.indexOf('will'))
    })
  })
}
