import { describeWith } from '../../../e2e/harness/programs.js'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import type { SharedStore } from '../../contract/store.js'
import { accept, keep, message, queueText, readAll, retainedText, to } from '../conformance/bench.js'
import { slotOf } from './layout.js'
import { flushAll, keysOf, openableStore, startCluster, until, type RedisServer } from './testing.js'

const MASTERS = 3

describeWith('an accept that spans the masters of a Cluster', ['redis-server'], () => {
  let servers: readonly RedisServer[] = []
  const releases: (() => Promise<void>)[] = []
  let a: SharedStore
  let b: SharedStore

  beforeAll(async () => {
    servers = await startCluster(MASTERS)
  })
  afterAll(() => Promise.all(servers.map((server) => server.stop())))

  beforeEach(async () => {
    await flushAll(servers)
    const open = async (): Promise<SharedStore> => {
      const { store, end } = openableStore(servers, { commandTimeoutSeconds: 0.5 })
      await store.open()
      releases.push(async () => {
        await store.close()
        await end()
      })
      return store
    }
    a = await open()
    b = await open()
    return async () => {
      for (const release of releases.splice(0)) await release()
    }
  })

  const masterOf = (clientId: string): number => Math.floor((slotOf(clientId) * MASTERS) / 16_384)
  const everybody = Array.from({ length: 30 }, (_, i) => `client${i}`)
  const intents = async (among = servers): Promise<string[]> =>
    (await keysOf(among)).filter((key) => /\}:i:/.test(key))

  /** Node `a` begins a QoS 2 accept and gets no further than its intent: a master does not answer. */
  async function begun(publisher: string): Promise<{ accepted: Promise<unknown>; resume: () => void }> {
    for (const id of everybody) await b.openSession(id, keep)
    const session = await a.openSession(publisher, keep)
    const away = servers[(masterOf(publisher) + 1) % MASTERS]!
    away.pause()
    const accepted = accept(a, {
      message: message({ qos: 2, text: 'once' }),
      recipients: to(...everybody),
      retain: true,
      incoming: { session, packetId: 7 },
    })
    const others = servers.filter((server) => server !== away)
    await until(async () => (await keysOf(others)).some((key) => /\}:i:/.test(key)))
    return { accepted, resume: () => away.resume() }
  }

  async function queuedOnce(): Promise<void> {
    for (const id of everybody) {
      const session = await b.openSession(id, keep)
      expect(await queueText(session)).toBe('1:once')
    }
    expect(await retainedText(b, 't')).toEqual(['t=once'])
    expect(await intents()).toEqual([])
  }

  it('is finished by the node that the publisher comes back to, while the first one goes on with it too', async () => {
    const { accepted, resume } = await begun('publisher')
    const opening = b.openSession('publisher', keep)
    resume()
    const session = await opening
    // The resend is recognised: it is not accepted again.
    expect([...session.incoming]).toEqual([7])
    await accepted
    await queuedOnce()
  })

  it('is finished by the node that takes over from one that is no more', async () => {
    const { resume } = await begun('publisher')
    resume()
    const { sessions } = await b.adopt(a.instance)
    expect(sessions).toEqual(['publisher'])
    await queuedOnce()
  })

  it('is finished, whole, before a store that is closed meanwhile is gone', async () => {
    await Promise.all(everybody.map((id) => b.openSession(id, keep)))
    const publisher = await a.openSession('publisher', keep)
    // The intent is at one master, and the slowest share at another: it comes back to the first when that is idle.
    const slow = servers[(masterOf('publisher') + 1) % MASTERS]!
    const accepted = accept(a, {
      message: message({ qos: 2, text: 'once' }),
      recipients: to(everybody.find((id) => servers[masterOf(id)] === slow)!),
      incoming: { session: publisher, packetId: 7 },
    })
    slow.pause()
    const closed = a.close()
    await until(async () => (await intents([servers[masterOf('publisher')]!])).length > 0)
    slow.resume()
    expect(await accepted).toMatchObject({ error: undefined })
    await closed
    const left = (await keysOf(servers)).filter(
      (key) => /\}:[iu]:/.test(key) || key.endsWith(`:n:${a.instance}`),
    )
    expect(left).toEqual([])
  })

  it('keeps the order of the calls in every queue', async () => {
    const sessions = await Promise.all(everybody.map((id) => b.openSession(id, keep)))
    const accepted = Array.from({ length: 200 }, (_, i) =>
      accept(a, {
        message: message({ text: String(i) }),
        // Some span partitions, some do not.
        recipients: to(...everybody.slice(0, (i * 7) % 30), everybody[29]!),
      }),
    )
    await Promise.all(accepted)
    for (const session of sessions) {
      const texts = (await readAll(session)).map((entry) => Number(entry.message?.payload.toString()))
      expect(texts).toEqual(texts.toSorted((x, y) => x - y))
    }
    expect((await readAll(sessions[29]!)).length).toBe(200)
  })
})
