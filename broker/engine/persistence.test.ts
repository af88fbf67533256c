import assert from 'node:assert'
import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { systemClock } from '../contract/clock.js'
import type { Store } from '../contract/store.js'
import {
  NEVER,
  RecordedEvents,
  roomy,
  accept,
  keep,
  message,
  subscription,
} from '../store/conformance/bench.js'
import { LevelStore } from '../store/level/level-store.js'
import { MemoryStore } from '../store/memory/memory-store.js'
import { openableStore, startCluster, startRedis, type RedisServer } from '../store/redis/testing.js'
import { describeWith, findProgram } from '../../e2e/harness/programs.js'
import type { AedesPersistence } from './aedes-internals.js'
import { StorePersistence } from './persistence.js'

/** The context of node:test, as far as the suite of aedes-persistence uses it. */
interface SuiteContext {
  plan(assertions: number): void
  diagnostic(): void
  readonly assert: typeof assert
}
interface SuiteOptions {
  test(name: string, body: (context: SuiteContext) => Promise<void>): void
  persistence(): Promise<StorePersistence>
  readonly testAsync: true
}
const abstractSuite = createRequire(import.meta.url)('aedes-persistence/abstract.js') as (
  options: SuiteOptions,
) => void

const releases: (() => Promise<void>)[] = []

afterEach(async () => {
  for (const release of releases.splice(0)) await release()
})

const hasRedis = findProgram('redis-server') !== undefined
const redis: RedisServer[] = []
const cluster: RedisServer[] = []
let keyPrefixes = 0

beforeAll(async () => {
  if (!hasRedis) return
  redis.push(await startRedis())
  cluster.push(...(await startCluster()))
})

afterAll(() => Promise.all([...redis, ...cluster].map((server) => server.stop())))

function onRedis(servers: readonly RedisServer[]): Store {
  const { store, end } = openableStore(servers, { keyPrefix: `test${++keyPrefixes}` })
  releases.push(end)
  return store
}

const stores: Record<string, () => Store> = {
  memory: () => new MemoryStore(roomy, new RecordedEvents(), systemClock),
  level() {
    const directory = mkdtempSync(join(tmpdir(), 'openclaw-persistence-'))
    releases.push(() => rm(directory, { recursive: true }))
    return new LevelStore({ directory, sync: false }, roomy, new RecordedEvents(), systemClock)
  },
  redis: () => onRedis(redis),
  'redis Cluster': () => onRedis(cluster),
}

async function persistenceOn(store: Store): Promise<StorePersistence> {
  await store.open()
  releases.unshift(() => store.close())
  return new StorePersistence(store, systemClock)
}

const needsRedis = (name: string): boolean => name.startsWith('redis')

for (const name of Object.keys(stores))
  if (needsRedis(name))
    describeWith(`the persistence on the ${name} store`, ['redis-server'], () => persistenceOf(name))
  else describe(`the persistence on the ${name} store`, () => persistenceOf(name))

function persistenceOf(name: string): void {
  const create = stores[name]!

  describe('passes the suite of aedes-persistence', () => {
    abstractSuite({
      testAsync: true,
      persistence: () => persistenceOn(create()),
      test: (title, body) =>
        it(title, async () => {
          let planned: number | undefined
          let made = 0
          const counting = new Proxy(assert, {
            get(target, method, receiver): unknown {
              made++
              return Reflect.get(target, method, receiver)
            },
          })
          await body({ plan: (count) => (planned = count), diagnostic: () => {}, assert: counting })
          if (planned !== undefined) expect(made).toBe(planned)
        }),
    })
  })

  it('shows what sessions of the gateway have stored, and leaves them theirs', async () => {
    const store = create()
    const persistence = await persistenceOn(store)
    persistence satisfies AedesPersistence
    await persistence.setup({ id: 'node' })
    const session = await store.openSession('c', keep)
    await session.subscribe([subscription('a/#', { qos: 2, noLocal: true, identifier: 4 })])
    await accept(store, { message: message({ topic: 'a', text: 'x', retain: true }), retain: true })
    expect(await persistence.subscriptionsByClient({ id: 'c' })).toEqual([
      { topic: 'a/#', qos: 2, nl: true, rap: false, rh: 0, subscriptionIdentifier: 4 },
    ])
    expect(await persistence.countOffline()).toEqual({ subsCount: 1, clientsCount: 1 })
    expect(await persistence.createRetainedStream('a').toArray()).toEqual([
      { cmd: 'publish', topic: 'a', payload: Buffer.from('x'), qos: 1, retain: true, dup: false },
    ])
    await session.setExpiryInterval(NEVER)
  })

  it('rejects with the failure of the store', async () => {
    const persistence = await persistenceOn(create())
    await persistence.setup({ id: 'node' })
    for (const release of releases.splice(0, 1)) await release()
    const packet = { topic: 'a', payload: 'x', qos: 1, retain: true } as const
    await expect(persistence.storeRetained(packet)).rejects.toMatchObject({ code: 'STORE_CLOSED' })
    await expect(persistence.outgoingEnqueue({ clientId: 'c' }, packet)).rejects.toMatchObject({
      code: 'STORE_CLOSED',
    })
    await expect(persistence.subscriptionsByTopic('a')).rejects.toMatchObject({ code: 'STORE_CLOSED' })
  })
}
