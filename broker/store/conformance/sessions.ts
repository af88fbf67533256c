import { describe, expect, it } from 'vitest'
import {
  type Bench,
  NEVER,
  ODD_IDS,
  accept,
  codeOf,
  collect,
  enqueue,
  filtersOf,
  forget,
  keep,
  message,
  queueText,
  readAll,
  release,
  settle,
  sorted,
  subscription,
  to,
} from './bench.js'

export function sessionStatements(bench: Bench): void {
  describe('life', () => {
    it('is ready while it is open, and fails with STORE_CLOSED before and after', async () => {
      expect(bench.store.readiness()).toMatchObject({ ready: true })
      const session = await bench.store.openSession('c', keep)
      await bench.store.close()
      expect(bench.store.readiness().ready).toBe(false)
      for (const subjectStore of [bench.store, bench.make()]) {
        expect(await codeOf(subjectStore.openSession('c', keep))).toBe('STORE_CLOSED')
        expect(await codeOf(subjectStore.discardSession('c'))).toBe('STORE_CLOSED')
        expect(await codeOf(collect(subjectStore.sessions()))).toBe('STORE_CLOSED')
        expect(await codeOf(collect(subjectStore.retained('#')))).toBe('STORE_CLOSED')
        expect(await codeOf(collect(subjectStore.wills()))).toBe('STORE_CLOSED')
        expect(await codeOf(subjectStore.deleteWill('c'))).toBe('STORE_CLOSED')
        expect((await accept(subjectStore, { message: message() })).error).toBe('STORE_CLOSED')
        const retained = { message: message({ qos: 0 }), retain: true }
        expect((await accept(subjectStore, retained)).error).toBe('STORE_CLOSED')
      }
      expect(await codeOf(session.subscribe([subscription('a')]))).toBe('STORE_CLOSED')
      expect(await settle(session, 1)).toBe('STORE_CLOSED')
      expect(await codeOf(readAll(session))).toBe('STORE_CLOSED')
    })

    it('may be closed twice', async () => {
      await bench.store.close()
      await bench.store.close()
    })

    it('writes what is waiting before it is closed', async () => {
      await bench.store.openSession('c', keep)
      const accepted = accept(bench.store, { message: message(), recipients: to('c') })
      await bench.store.close()
      expect(await accepted).toEqual({ error: undefined, sequences: [1] })
    })

    it('says how much it found', () => {
      expect(bench.events.lines).toEqual([`opened ${bench.store.kind} 0 0`])
    })
  })

  describe('sessions', () => {
    it('are absent the first time and present the next', async () => {
      expect((await bench.store.openSession('c', keep)).present).toBe(false)
      expect((await bench.store.openSession('c', keep)).present).toBe(true)
    })

    it('start empty', async () => {
      const session = await bench.store.openSession('c', keep)
      expect(session).toMatchObject({ clientId: 'c', subscriptions: [], settledUpTo: 0, queued: 0 })
      expect([...session.incoming]).toEqual([])
      expect(await readAll(session)).toEqual([])
    })

    it('are discarded by cleanStart with all that belongs to them [MQTT-3.1.2-4]', async () => {
      const first = await bench.store.openSession('c', keep)
      await first.subscribe([subscription('a')])
      await accept(bench.store, {
        message: message({ qos: 2 }),
        recipients: to('c'),
        incoming: { session: first, packetId: 7 },
      })
      const session = await bench.store.openSession('c', { ...keep, cleanStart: true })
      expect(session).toMatchObject({ present: false, subscriptions: [], queued: 0, settledUpTo: 0 })
      expect([...session.incoming]).toEqual([])
      expect((await accept(bench.store, { message: message(), recipients: to('c') })).sequences).toEqual([1])
    })

    it('are discarded whoever has them open', async () => {
      const session = await bench.store.openSession('c', keep)
      await accept(bench.store, { message: message(), recipients: to('c') })
      await bench.store.discardSession('c')
      expect(await settle(session, 1)).toBe('SESSION_TAKEN')
      expect(await readAll(session)).toEqual([])
      expect((await accept(bench.store, { message: message(), recipients: to('c') })).sequences).toEqual([
        undefined,
      ])
      expect(await collect(bench.store.sessions())).toEqual([])
      expect((await bench.store.openSession('c', keep)).present).toBe(false)
    })

    it('need not be there to be discarded', async () => {
      await bench.store.discardSession('nobody')
    })

    it('that have expired are not found any more', async () => {
      const session = await bench.store.openSession('c', { cleanStart: false, expiryInterval: 10 })
      await session.subscribe([subscription('a')])
      await session.close(bench.clock.now() + 10_000)
      bench.clock.advance(9_999)
      const again = await bench.store.openSession('c', { cleanStart: false, expiryInterval: 10 })
      expect(again.present).toBe(true)
      await again.close(bench.clock.now() + 10_000)
      bench.clock.advance(10_000)
      const late = await bench.store.openSession('c', keep)
      expect(late).toMatchObject({ present: false, subscriptions: [] })
    })

    it('that have expired are opened by who asks for them, with what is in their queues', async () => {
      const session = await bench.store.openSession('c', { cleanStart: false, expiryInterval: 10 })
      await accept(bench.store, { message: message({ text: 'left' }), recipients: to('c') })
      await session.close(bench.clock.now() + 10_000)
      bench.clock.advance(10_000)
      const late = await bench.store.openSession('c', { ...keep, evenExpired: true })
      expect([late.present, await queueText(late)]).toEqual([true, '1:left'])
      await bench.store.discardSession('c')
      expect((await bench.store.openSession('c', keep)).present).toBe(false)
    })

    it('are listed once each, with what is known of them', async () => {
      const open = await bench.store.openSession('open', { cleanStart: false, expiryInterval: 10 })
      const closed = await bench.store.openSession('closed', { cleanStart: false, expiryInterval: 10 })
      const never = await bench.store.openSession('never', keep)
      await open.subscribe([subscription('a'), subscription('b/+', { qos: 2, identifier: 5 })])
      await closed.setExpiryInterval(20)
      await closed.close(bench.clock.now() + 20_000)
      await never.close(undefined)
      const records = new Map((await collect(bench.store.sessions())).map((r) => [r.clientId, r]))
      expect([...records.keys()].sort()).toEqual(['closed', 'never', 'open'])
      expect(records.get('open')).toMatchObject({ expiryInterval: 10, expiresAt: undefined })
      expect(filtersOf(records.get('open'))).toEqual(['a', 'b/+'])
      expect(records.get('closed')).toMatchObject({
        expiryInterval: 20,
        expiresAt: bench.clock.now() + 20_000,
      })
      expect(records.get('never')).toMatchObject({ expiryInterval: NEVER, expiresAt: undefined })
    })

    it('take the expiry interval of the connection that opens them', async () => {
      await bench.store.openSession('c', { cleanStart: false, expiryInterval: 10 })
      await bench.store.openSession('c', { cleanStart: false, expiryInterval: 30 })
      expect(await collect(bench.store.sessions())).toMatchObject([
        { expiryInterval: 30, expiresAt: undefined },
      ])
    })

    it('have identifiers of any content', async () => {
      for (const id of ODD_IDS) {
        const session = await bench.store.openSession(id, keep)
        await session.subscribe([subscription(`for/${ODD_IDS.indexOf(id)}`)])
        await accept(bench.store, {
          message: message({ text: String(ODD_IDS.indexOf(id)) }),
          recipients: to(id),
        })
      }
      await bench.store.discardSession('a')
      for (const id of ODD_IDS) {
        const session = await bench.store.openSession(id, keep)
        const index = ODD_IDS.indexOf(id)
        expect(session.present).toBe(id !== 'a')
        expect(await queueText(session)).toBe(id === 'a' ? '' : `1:${index}`)
        expect(session.subscriptions.map(({ filter }) => filter)).toEqual(id === 'a' ? [] : [`for/${index}`])
      }
    })
  })

  describe('ownership', () => {
    it('passes to the newest handle: writes of earlier ones fail with SESSION_TAKEN', async () => {
      const old = await bench.store.openSession('c', keep)
      await accept(bench.store, { message: message(), recipients: to('c') })
      const opening = bench.store.openSession('c', keep)
      expect(await settle(old, 1)).toBe('SESSION_TAKEN')
      const session = await opening
      expect(await settle(old, 1)).toBe('SESSION_TAKEN')
      expect(await release(old, 1)).toBe('SESSION_TAKEN')
      expect(await forget(old, 1)).toBe('SESSION_TAKEN')
      expect((await enqueue(old, message())).error).toBe('SESSION_TAKEN')
      expect(await codeOf(old.subscribe([subscription('a')]))).toBe('SESSION_TAKEN')
      expect(await codeOf(old.unsubscribe([subscription('a')]))).toBe('SESSION_TAKEN')
      expect(await codeOf(old.setExpiryInterval(1))).toBe('SESSION_TAKEN')
      expect(await codeOf(old.close(undefined))).toBe('SESSION_TAKEN')
      expect(await queueText(session)).toBe('1:x')
      expect(await collect(bench.store.sessions())).toMatchObject([
        { subscriptions: [], expiryInterval: NEVER },
      ])
    })

    it('is checked for the origin of a message: nothing of it is accepted', async () => {
      const old = await bench.store.openSession('c', keep)
      const session = await bench.store.openSession('c', keep)
      const outcome = await accept(bench.store, {
        message: message({ qos: 2 }),
        recipients: to('c'),
        retain: true,
        incoming: { session: old, packetId: 1 },
      })
      expect(outcome.error).toBe('SESSION_TAKEN')
      expect([await queueText(session), [...session.incoming], bench.store.retainedCount]).toEqual([
        '',
        [],
        0,
      ])
    })

    it('lets writes called before the takeover through', async () => {
      const old = await bench.store.openSession('c', keep)
      await accept(bench.store, { message: message(), recipients: to('c') })
      const [settled, session] = await Promise.all([settle(old, 1), bench.store.openSession('c', keep)])
      expect(settled).toBeUndefined()
      expect(session).toMatchObject({ queued: 0, settledUpTo: 1 })
    })
  })

  describe('subscriptions', () => {
    const all = [
      subscription('a/+', { qos: 2, noLocal: true, retainAsPublished: true, retainHandling: 2 }),
      subscription('a/+', { share: 'group', identifier: 268_435_455 }),
      subscription('/', { qos: 0, retainHandling: 1 }),
      subscription('#'),
    ]

    it('are kept whole, and told apart by filter and share', async () => {
      const session = await bench.store.openSession('c', keep)
      await session.subscribe(all)
      expect(sorted(session.subscriptions)).toEqual(sorted(all))
      expect(sorted((await bench.store.openSession('c', keep)).subscriptions)).toEqual(sorted(all))
      const [record] = await collect(bench.store.sessions())
      expect(sorted(record?.subscriptions ?? [])).toEqual(sorted(all))
    })

    it('replace those of the same filter and share', async () => {
      const session = await bench.store.openSession('c', keep)
      await session.subscribe([subscription('a', { qos: 0 })])
      await session.subscribe([subscription('a', { qos: 2, identifier: 3 })])
      expect(session.subscriptions).toEqual([subscription('a', { qos: 2, identifier: 3 })])
    })

    it('are removed by filter and share', async () => {
      const session = await bench.store.openSession('c', keep)
      await session.subscribe(all)
      await session.unsubscribe([
        { filter: 'a/+', share: 'group' },
        { filter: 'never/there', share: undefined },
      ])
      const left = all.filter(({ share }) => share === undefined)
      expect(sorted(session.subscriptions)).toEqual(sorted(left))
      expect(sorted((await bench.store.openSession('c', keep)).subscriptions)).toEqual(sorted(left))
    })
  })
}
