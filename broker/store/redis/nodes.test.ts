import { describeWith } from '../../../e2e/harness/programs.js'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { SessionChange, SharedStore } from '../../contract/store.js'
import { ManualClock } from '../../contract/testing/manual-clock.js'
import {
  accept,
  collect,
  keep,
  message,
  queueText,
  retainedText,
  settle,
  subscription,
  to,
} from '../conformance/bench.js'
import {
  flushAll,
  keysOf,
  openableStore,
  startCluster,
  startRedis,
  until,
  type RedisServer,
} from './testing.js'

describeWith('Redis', ['redis-server'], () => {
  describe.each([
    { name: 'a single Redis', start: async () => [await startRedis()] },
    { name: 'a Cluster', start: () => startCluster() },
  ])('several nodes on $name', ({ start }) => {
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
        },
        { kind: 'unsubscribed', clientId: 'c', filters: ['$share/g/y'] },
        { kind: 'ended', clientId: 'c' },
      ])
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

    it('leave the wills of others alone, but for those of nodes that are no more', async () => {
      await a.putWill('c', { message: message({ text: 'old' }), delayInterval: 0, dueAt: undefined })
      await b.putWill('c', { message: message({ text: 'new' }), delayInterval: 0, dueAt: undefined })
      await a.deleteWill('c')
      await a.putWill('c', { message: message({ text: 'late' }), delayInterval: 5, dueAt: clock.now() })
      const left = await collect((await node()).wills())
      expect(left.map(([, will]) => will.message.payload.toString())).toEqual(['new'])
    })
  })
})
