import { describeWith } from '../../../e2e/harness/programs.js'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { SessionChange, SharedStore } from '../../contract/store.js'
import { ManualClock } from '../../contract/testing/manual-clock.js'
import {
  accept,
  codeOf,
  collect,
  keep,
  message,
  queueText,
  retainedText,
  settle,
  subscription,
  to,
} from '../conformance/bench.js'
import { flushAll, keysOf, openableStore, kindsOfRedis, until, type RedisServer } from './testing.js'

describeWith('Redis', ['redis-server'], () => {
  describe.each(kindsOfRedis)('several nodes on $name', ({ start }) => {
    let servers: readonly RedisServer[] = []
    const clock = new ManualClock()
    const releases: (() => Promise<void>)[] = []
    let a: SharedStore
    let b: SharedStore

    beforeAll(async () => {
      servers = await start()
    })
    afterAll(() => Promise.all(servers.map((server) => server.stop())))

    const node = async (): Promise<SharedStore> => {
      const { store, end } = openableStore(servers, {}, { clock })
      await store.open()
      releases.push(async () => {
        await store.close()
        await end()
      })
      return store
    }

    beforeEach(async () => {
      await flushAll(servers)
      a = await node()
      b = await node()
      return async () => {
        for (const release of releases.splice(0)) await release()
      }
    })

    it('hand a session on with its queue; what the former node still writes is refused', async () => {
      const there = await a.openSession('c', keep)
      await there.subscribe([subscription('x')])
      await accept(a, { message: message({ text: '1' }), recipients: to('c') })
      const here = await b.openSession('c', keep)
      expect(here).toMatchObject({ present: true, takenFrom: a.instance, queued: 1, queuedUpTo: 1 })
      expect(here.subscriptions).toEqual([subscription('x')])
      expect(await settle(there, 1)).toBe('SESSION_TAKEN')
      await expect(there.close(undefined)).rejects.toMatchObject({ code: 'SESSION_TAKEN' })
      await accept(a, { message: message({ text: '2' }), recipients: to('c') })
      expect(await queueText(here)).toBe('1:1 2:2')
      expect(await collect(a.sessions())).toMatchObject([{ clientId: 'c', openOn: b.instance }])
    })

    it('see retained messages of each other as soon as they are accepted', async () => {
      for (let i = 0; i < 30; i++) {
        await accept(a, { message: message({ topic: `t/${i}`, text: '1' }), retain: true })
        expect(await retainedText(b, `t/${i}`)).toEqual([`t/${i}=1`])
      }
      expect((await retainedText(b, 't/+')).length).toBe(30)
      await accept(b, { message: message({ topic: 't/3', text: '2' }), retain: true })
      await accept(b, { message: message({ topic: 't/4', text: '' }), retain: true })
      expect(await retainedText(a, 't/3')).toEqual(['t/3=2'])
      expect(await retainedText(a, 't/4')).toEqual([])
      expect([a.retainedCount, b.retainedCount]).toEqual([29, 29])
    })

    it('read retained topics anew when they have missed more than the log holds', async () => {
      await accept(a, { message: message({ topic: 'gone' }), retain: true })
      expect(await retainedText(b, '#')).toEqual(['gone=x'])
      await accept(a, { message: message({ topic: 'gone', text: '' }), retain: true })
      await accept(a, { message: message({ topic: '[*]/new' }), retain: true })
      for (const { client } of servers)
        for (const log of (await keysOf([{ client } as RedisServer])).filter((key) => key.endsWith(':log')))
          await client.del(log)
      expect(await retainedText(b, '#')).toEqual(['[*]/new=x'])
    })

    it('are told of changes of sessions that others make', async () => {
      const changes: SessionChange[] = []
      await b.follow({ changed: (change) => changes.push(change), missed: () => changes.splice(0) })
      const session = await a.openSession('c', keep)
      await session.subscribe([subscription('x', { qos: 2 }), subscription('y', { share: 'g' })])
      await session.unsubscribe([{ filter: 'y', share: 'g' }])
      await (await b.openSession('own', keep)).subscribe([subscription('z')])
      await a.discardSession('c')
      await until(() => changes.length === 3)
      expect(changes).toEqual([
        {
          kind: 'subscribed',
          clientId: 'c',
          subscriptions: [subscription('x', { qos: 2 }), subscription('y', { share: 'g' })],
          node: a.instance,
        },
        { kind: 'unsubscribed', clientId: 'c', filters: ['$share/g/y'] },
        { kind: 'ended', clientId: 'c' },
      ])
    })

    it('are told by an accept who has the session of each receiver open', async () => {
      const ids = Array.from({ length: 8 }, (_, i) => `c${i}`)
      const nodes = [a, b, await node(), undefined]
      for (const [i, id] of ids.entries()) {
        const session = await (nodes[i % 4] ?? a).openSession(id, keep)
        if (nodes[i % 4] === undefined) await session.close(undefined)
      }
      const { sequences, owners } = await accept(a, {
        message: message(),
        recipients: to(...ids, 'nobody', 'c1'),
      })
      expect(sequences).toEqual([1, 1, 1, 1, 1, 1, 1, 1, undefined, 2])
      const elsewhere = [undefined, nodes[1]!.instance, nodes[2]!.instance, undefined]
      expect(owners).toEqual([...elsewhere, ...elsewhere, undefined, b.instance])
      expect(await accept(a, { message: message(), recipients: to('c0', 'c3') })).toEqual({
        error: undefined,
        sequences: [2, 2],
      })
    })

    it('know which members of share groups are online', async () => {
      const changes: SessionChange[] = []
      await b.follow({ changed: (change) => changes.push(change), missed: () => changes.splice(0) })
      const shared = { clientId: 's', subscriptions: [subscription('x', { share: 'g' })] }
      const plain = await a.openSession('p', keep)
      await plain.subscribe([subscription('x')])
      await plain.close(undefined)
      await a.openSession('p', keep)
      const session = await a.openSession('s', keep)
      await session.subscribe(shared.subscriptions)
      await session.close(undefined)
      await a.openSession('s', keep)
      await b.caughtUp()
      // The two may be on different masters: in order is what happens to one of them.
      expect(changes.filter(({ clientId }) => clientId === 'p').length).toBe(1)
      expect(changes.filter(({ clientId }) => clientId === 's')).toEqual([
        { kind: 'subscribed', ...shared, node: a.instance },
        { kind: 'closed', clientId: 's' },
        { kind: 'opened', clientId: 's', node: a.instance },
      ])
      changes.splice(0)
      await (await node()).adopt(a.instance)
      await b.caughtUp()
      expect(changes).toEqual([{ kind: 'closed', clientId: 's' }])
    })

    it('claim client ids: the last one has it, what the former one begins for it is refused', async () => {
      const first = await a.claim('c')
      expect(first).toMatchObject({ clientId: 'c', takenFrom: undefined, willOf: undefined })
      await a.putWill('c', { message: message(), delayInterval: 0, dueAt: undefined })
      const again = await a.claim('c')
      expect([again.takenFrom, again.epoch > first.epoch]).toEqual([undefined, true])
      const [second, session] = await Promise.all([b.claim('c'), b.openSession('c', keep)])
      expect(second).toMatchObject({ takenFrom: a.instance, willOf: a.instance })
      expect(second.epoch).toBeGreaterThan(again.epoch)
      expect(await codeOf(a.openSession('c', keep))).toBe('SESSION_TAKEN')
      const late = { message: message({ text: 'late' }), delayInterval: 0, dueAt: undefined }
      expect(await codeOf(a.putWill('c', late))).toBe('SESSION_TAKEN')
      await a.discardSession('c')
      await a.yield('c', again.epoch)
      expect(session.present).toBe(false)
      expect((await collect(b.sessions())).map(({ openOn }) => openOn)).toEqual([b.instance])
      expect((await a.claim('c')).takenFrom).toBe(b.instance)
      await b.yield('c', second.epoch)
      expect((await b.claim('c')).takenFrom).toBe(a.instance)
    })

    it('free the client ids of a node that is no more', async () => {
      const ids = Array.from({ length: 20 }, (_, i) => `c${i}`)
      await Promise.all(ids.map((id) => a.claim(id)))
      const kept = await b.claim('c7')
      expect(kept.takenFrom).toBe(a.instance)
      await b.adopt(a.instance)
      const c = await node()
      const claims = await Promise.all(ids.map((id) => c.claim(id)))
      expect(claims.map(({ takenFrom }) => takenFrom)).toEqual(
        ids.map((id) => (id === 'c7' ? b.instance : undefined)),
      )
      await Promise.all(claims.map(({ clientId, epoch }) => c.yield(clientId, epoch)))
      const named = (await keysOf(servers)).filter((key) => /\}:(claims|ids:.*)$/.test(key))
      expect(named).toEqual([])
    })

    it('publish a will once, whoever of them comes to it', async () => {
      const everybody = Array.from({ length: 12 }, (_, i) => `receiver${i}`)
      const sessions = await Promise.all(everybody.map((id) => b.openSession(id, keep)))
      const will = { message: message({ text: 'will' }), delayInterval: 0, dueAt: undefined }
      const published = { message: will.message, recipients: to(...everybody), retain: true, will: 'c' }
      await a.putWill('c', will)
      expect((await accept(b, published)).error).toBe('SESSION_TAKEN')
      const [here, there] = await Promise.all([accept(a, published), b.takeWill('c', a.instance)])
      // Whichever came first.
      if (there === undefined) expect(here.error).toBeUndefined()
      else expect([here.error, (await accept(b, published)).error]).toEqual(['SESSION_TAKEN', undefined])
      expect((await accept(a, published)).error).toBe('SESSION_TAKEN')
      expect(await b.takeWill('c', a.instance)).toBeUndefined()
      expect(await collect(a.wills())).toEqual([])
      for (const session of sessions) expect(await queueText(session)).toBe('1:will')
    })

    it('take a will from one that does not answer, once; its late update changes nothing', async () => {
      const will = { message: message({ text: 'will' }), delayInterval: 9, dueAt: undefined }
      await a.putWill('c', will)
      const c = await node()
      const taken = await Promise.all([b, c].map((each) => each.takeWill('c', a.instance)))
      expect(taken.filter((each) => each !== undefined)).toMatchObject([{ delayInterval: 9 }])
      await a.putWill('c', { ...will, dueAt: clock.now() })
      await a.deleteWill('c')
      expect(await a.takeWill('c', a.instance)).toBeUndefined()
      expect((await c.claim('c')).willOf).toBe(taken[0] === undefined ? undefined : b.instance)
    })

    it('are told when they have been taken over from, and begin anew under another name', async () => {
      const former = a.instance
      let told = 0
      a.onFenced(() => told++)
      const session = await a.openSession('c', keep)
      await a.claim('c')
      await b.adopt(former)
      expect(await settle(session, 1)).toBe('SESSION_TAKEN')
      expect(await codeOf(a.openSession('d', keep))).toBe('SESSION_TAKEN')
      expect(told).toBe(1)
      await a.rejoin()
      expect(a.instance).not.toBe(former)
      expect(a.readiness()).toMatchObject({ ready: true })
      // What was open is void for good.
      expect(await settle(session, 1)).toBe('SESSION_TAKEN')
      const again = await a.openSession('c', keep)
      expect(again).toMatchObject({ present: true, takenFrom: undefined })
      expect(await accept(a, { message: message(), recipients: to('c'), retain: true })).toMatchObject({
        sequences: [1],
      })
      expect(await retainedText(a, 't')).toEqual(['t=x'])
      const changes: SessionChange[] = []
      await a.follow({ changed: (change) => changes.push(change), missed: () => changes.splice(0) })
      await (await b.openSession('e', keep)).subscribe([subscription('x')])
      await a.caughtUp()
      expect(changes).toMatchObject([{ kind: 'subscribed', clientId: 'e' }])
      expect(told).toBe(1)
    })

    it('share out the sessions that have expired, and let go of those that were opened again', async () => {
      const ids = Array.from({ length: 10 }, (_, i) => `c${i}`)
      for (const id of ids) await (await a.openSession(id, keep)).close(clock.now() + 1_000)
      expect(await b.claimExpired(100)).toEqual([])
      clock.advance(1_000)
      const claims = await Promise.all([a.claimExpired(100), b.claimExpired(100)])
      expect(claims.flat().sort()).toEqual(ids)
      expect(await b.claimExpired(100)).toEqual([])
      await a.openSession('c3', keep)
      expect(await b.discardExpired('c3')).toBe(false)
      expect(await b.discardExpired('c4')).toBe(true)
      // Whoever claimed the others has died over it.
      clock.advance(60_000)
      expect([...(await b.claimExpired(100))].sort()).toEqual(ids.filter((id) => id !== 'c3' && id !== 'c4'))
    })

    it('take over from a node that is no more, once, and refuse what it writes when it wakes', async () => {
      const ids = Array.from({ length: 10 }, (_, i) => `c${i}`)
      const sessions = await Promise.all(
        ids.map((id) => a.openSession(id, { cleanStart: false, expiryInterval: 10 })),
      )
      for (const id of ids)
        await a.putWill(id, { message: message({ text: id }), delayInterval: 0, dueAt: undefined })
      await b.openSession('c0', keep)
      await b.putWill('c0', { message: message({ text: 'new' }), delayInterval: 0, dueAt: undefined })
      const c = await node()
      const adopted = await Promise.all([b.adopt(a.instance), c.adopt(a.instance)])
      expect(adopted.flatMap((each) => each.sessions).sort()).toEqual(ids.slice(1))
      expect(adopted.flatMap((each) => each.wills.map(([id]) => id)).sort()).toEqual(ids.slice(1))
      expect(await settle(sessions[1]!, 1)).toBe('SESSION_TAKEN')
      expect(a.readiness().ready).toBe(false)
      clock.advance(10_000)
      expect((await b.claimExpired(100)).length).toBe(9)
      expect((await collect(b.sessions())).find(({ clientId }) => clientId === 'c0')?.openOn).toBe(b.instance)
    })

    it('leave what others have to those, and name them', async () => {
      await a.openSession('s', keep)
      await b.openSession('t', keep)
      await b.putWill('c', { message: message(), delayInterval: 0, dueAt: undefined })
      const named: string[] = []
      const suspect = (instance: string): Promise<void> => Promise.resolve(void named.push(instance))
      const { store, end } = openableStore(servers, {}, { clock, nodes: { suspect } })
      await store.open()
      releases.push(async () => {
        await store.close()
        await end()
      })
      await store.openSession('own', keep)
      await collect(store.sessions())
      expect(named.splice(0).sort()).toEqual([a.instance, b.instance].sort())
      expect(await collect(store.wills())).toEqual([])
      expect(named).toEqual([b.instance])
    })

    it('of which there is only one publishes the wills of those that are no more', async () => {
      await a.putWill('c', { message: message({ text: 'old' }), delayInterval: 0, dueAt: undefined })
      await b.putWill('c', { message: message({ text: 'new' }), delayInterval: 0, dueAt: undefined })
      await a.deleteWill('c')
      await a.putWill('c', { message: message({ text: 'late' }), delayInterval: 5, dueAt: clock.now() })
      const left = await collect((await node()).wills())
      expect(left.map(([, will]) => will.message.payload.toString())).toEqual(['new'])
    })
  })
})
