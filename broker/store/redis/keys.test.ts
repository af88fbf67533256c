import { describeWith } from '../../../e2e/harness/programs.js'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  accept,
  forget,
  keep,
  message,
  readAll,
  release,
  settle,
  subscription,
  to,
} from '../conformance/bench.js'
import type { Store } from '../../contract/store.js'
import { flushAll, keysOf, openableStore, kindsOfRedis, until, type RedisServer } from './testing.js'

/** What stays: the format, the counters of a partition, and for an hour the log of changes. */
const LASTING = /:format$|\}:meta$|\}:log$|\}:n:/

describeWith('Redis', ['redis-server'], () => {
  describe.each(kindsOfRedis)('keys on $name', ({ start }) => {
    let servers: readonly RedisServer[] = []
    let store: Store
    let end: () => Promise<void>

    beforeAll(async () => {
      servers = await start()
    })
    afterAll(() => Promise.all(servers.map((server) => server.stop())))

    beforeEach(async () => {
      await flushAll(servers)
      const opened = openableStore(servers)
      store = opened.store
      end = opened.end
      await store.open()
      return async () => {
        await store.close()
        await end()
      }
    })

    const leftKeys = async (): Promise<string[]> =>
      (await keysOf(servers)).filter((key) => !LASTING.test(key))
    // What tidies up behind an acknowledgement may still be under way.
    const nothingLeft = (): Promise<void> => until(async () => (await leftKeys()).length === 0)
    const clients = Array.from({ length: 20 }, (_, i) => `client${i}`)

    it('are gone when every receiver has settled, whatever the QoS', async () => {
      const sessions = await Promise.all(clients.map((id) => store.openSession(id, keep)))
      const before = await leftKeys()
      for (const qos of [1, 2] as const) {
        const { sequences } = await accept(store, { message: message({ qos }), recipients: to(...clients) })
        expect(sequences).toEqual(clients.map(() => qos))
        expect((await leftKeys()).length).toBeGreaterThan(before.length)
        for (const session of sessions) {
          if (qos === 2) expect(await release(session, qos)).toBeUndefined()
          expect(await settle(session, qos)).toBeUndefined()
        }
      }
      await until(async () => (await leftKeys()).join() === before.join())
      await Promise.all(clients.map((id) => store.discardSession(id)))
      await nothingLeft()
    })

    it('are gone with the sessions, full queues, subscriptions, packet identifiers and all', async () => {
      for (const [i, id] of clients.entries()) {
        const session = await store.openSession(id, keep)
        await session.subscribe([subscription(`a/${i}`), subscription('#')])
        await accept(store, {
          message: message({ qos: 2, expiresAt: Date.now() + 60_000 }),
          recipients: to(...clients.slice(0, i + 1), 'nobody'),
          incoming: { session, packetId: i + 1 },
        })
        if (i % 2 === 0) await session.close(Date.now() + 60_000)
      }
      for (const id of clients.slice(0, 10)) await store.openSession(id, { ...keep, cleanStart: true })
      for (const id of clients) await store.discardSession(id)
      await nothingLeft()
    })

    it('are gone with retained messages, wills and QoS 2 publishes', async () => {
      const session = await store.openSession('c', keep)
      for (let i = 0; i < 20; i++) {
        const retained = message({ topic: `t/${i}`, qos: 2 })
        await accept(store, { message: retained, retain: true, incoming: { session, packetId: i + 1 } })
        await forget(session, i + 1)
        await accept(store, { message: message({ topic: `t/${i}`, text: '' }), retain: true })
        await store.putWill(`c${i}`, { message: message(), delayInterval: 0, dueAt: undefined })
        await store.deleteWill(`c${i}`)
      }
      await store.discardSession('c')
      await nothingLeft()
    })

    it('of bodies are stored once a partition, and go with the last entry', async () => {
      const sessions = await Promise.all(clients.map((id) => store.openSession(id, keep)))
      await accept(store, { message: message({ text: 'x'.repeat(100) }), recipients: to(...clients) })
      const bodies = (await keysOf(servers)).filter((key) => /\}:m:[^:]+$/.test(key))
      expect(bodies.length).toBe(
        servers.length === 1 ? 1 : new Set(bodies.map((key) => key.split('}')[0])).size,
      )
      for (const session of sessions) expect((await readAll(session)).length).toBe(1)
      for (const id of clients) await store.discardSession(id)
      await nothingLeft()
    })

    it('of the node itself are gone when it has been closed', async () => {
      await store.openSession('c', keep)
      await store.discardSession('c')
      await store.close()
      expect((await keysOf(servers)).filter((key) => /\}:n:/.test(key))).toEqual([])
    })
  })
})
