import { describeWith } from '../../../e2e/harness/programs.js'
import { createRequire } from 'node:module'
import { Redis, Cluster } from 'ioredis'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Store } from '../../contract/store.js'
import { collect, keep, queueText, readAll, retainedText, subscription } from '../conformance/bench.js'
import { MemoryStore } from '../memory/memory-store.js'
import { RecordedEvents, roomy } from '../conformance/bench.js'
import { inspectStore } from './inspect.js'
import { migrateAedes, type MigrationOptions, type MigrationReport } from './migrate-aedes.js'
import { flushAll, kindsOfRedis, openableStore, type RedisServer } from './testing.js'
import { systemClock } from '../../contract/clock.js'

/** aedes-persistence-redis, as far as it is used here to write what a broker with it writes. */
interface StockPersistence {
  setup(broker: object): Promise<void>
  addSubscriptions(client: object, subscriptions: object[]): Promise<void>
  outgoingEnqueueCombi(subscriptions: object[], packet: object): Promise<void>
  outgoingUpdate(client: object, packet: object): Promise<void>
  incomingStorePacket(client: object, packet: object): Promise<void>
  storeRetained(packet: object): Promise<void>
  putWill(client: object, packet: object): Promise<void>
  destroy(): Promise<void>
}
const require = createRequire(import.meta.url)
const Stock = require('aedes-persistence-redis/asyncPersistence.js') as new (
  options: object,
) => StockPersistence

const mqemitter = require('mqemitter') as () => Emitter
interface Emitter {
  on(topic: string, handler: unknown, done: () => void): void
  removeListener(topic: string, handler: unknown, done: () => void): void
  emit(packet: object, done?: () => void): void
}

async function stockState(options: object): Promise<void> {
  const stock = new Stock(options)
  const mq = mqemitter()
  const broker = {
    id: 'stock',
    mq,
    subscribe: mq.on.bind(mq),
    unsubscribe: mq.removeListener.bind(mq),
    publish: mq.emit.bind(mq),
  }
  await stock.setup(broker)
  let counter = 0
  const packet = (topic: string, text: string, qos: number, more: object = {}): object => ({
    cmd: 'publish',
    brokerId: 'stock',
    brokerCounter: ++counter,
    topic,
    payload: Buffer.from(text),
    qos,
    retain: false,
    dup: false,
    ...more,
  })
  for (const id of ['plain', 'with/odd id*[', 'quiet'])
    await stock.addSubscriptions({ id, broker }, [
      { clientId: id, topic: 'a/#', qos: 1 },
      { clientId: id, topic: `b/${id}/+`, qos: 2, nl: true, rap: true, rh: 2 },
      { clientId: id, topic: 'bad#filter', qos: 1 },
    ])
  const both = [{ clientId: 'plain' }, { clientId: 'with/odd id*[' }]
  const properties = {
    contentType: 'text/plain',
    userProperties: { name: ['1', '2'] },
    payloadFormatIndicator: true,
  }
  for (const text of ['1', '2', '3'])
    await stock.outgoingEnqueueCombi(both, packet('a/x', text, 2, { properties }))
  const released = packet('b/plain/x', 'released', 2) as { brokerId: string; brokerCounter: number }
  await stock.outgoingEnqueueCombi([both[0]!], released)
  await stock.outgoingUpdate({ id: 'plain' }, { ...released, messageId: 9 })
  await stock.outgoingUpdate(
    { id: 'plain' },
    { cmd: 'pubrel', messageId: 9, brokerId: released.brokerId, brokerCounter: released.brokerCounter },
  )
  await stock.incomingStorePacket({ id: 'plain' }, packet('c', 'x', 2, { messageId: 42 }))
  for (const topic of ['r/1', 'r/[*]', '$odd/ä'])
    await stock.storeRetained(packet(topic, `of ${topic}`, 1, { retain: true }))
  await stock.putWill({ id: 'plain' }, packet('will', 'gone', 1))
  await stock.destroy()
}

async function migrate(
  source: Redis | Cluster,
  target: Store,
  options: Partial<MigrationOptions> = {},
): Promise<{ report: MigrationReport; leftOut: string[] }> {
  const leftOut: string[] = []
  const report = await migrateAedes(source, target, {
    dryRun: false,
    replace: false,
    expiryInterval: 0xffff_ffff,
    now: 1_800_000_000_000,
    onLeftOut: (what, name) => leftOut.push(`${what} ${name}`),
    onProgress: () => {},
    ...options,
  })
  return { report, leftOut }
}

describeWith('Redis', ['redis-server'], () => {
  describe.each(kindsOfRedis)('what aedes-persistence-redis wrote to $name', ({ start }) => {
    let servers: readonly RedisServer[] = []
    let source: Redis | Cluster

    beforeAll(async () => {
      servers = await start()
      const [{ port }] = servers as [RedisServer]
      source =
        servers.length === 1
          ? new Redis(port)
          : new Cluster(servers.map((each) => ({ host: '127.0.0.1', port: each.port })))
    })
    afterAll(async () => {
      source.disconnect()
      await Promise.all(servers.map((server) => server.stop()))
    })
    beforeEach(async () => {
      await flushAll(servers)
      const nodes = servers.map(({ port }) => ({ host: '127.0.0.1', port }))
      await stockState(servers.length === 1 ? { port: servers[0]!.port } : { cluster: nodes })
    })

    const counted = {
      sessions: 3,
      subscriptions: 6,
      queued: 6,
      incoming: 1,
      released: 1,
      retained: 3,
      wills: 1,
    }

    it('is taken over into a store on the same Redis, beside it', async () => {
      const { store, end } = openableStore(servers, { keyPrefix: 'taken' })
      await store.open()
      const { report, leftOut } = await migrate(source, store)
      expect(report).toEqual({ ...counted, present: 0, leftOut: 3 })
      expect(leftOut.sort()).toEqual([
        'subscription plain bad#filter',
        'subscription quiet bad#filter',
        'subscription with/odd id*[ bad#filter',
      ])
      const contents = await inspectStore(source, 'taken')
      expect(contents).toMatchObject({
        sessions: 3,
        queuedMessages: 6,
        retainedMessages: 3,
        wills: 1,
        open: {},
        damaged: [],
      })
      expect(contents.longest).toEqual([
        { clientId: expect.any(String) as string, messages: 3, bytes: 3 },
        { clientId: expect.any(String) as string, messages: 3, bytes: 3 },
      ])
      const session = await store.openSession('with/odd id*[', keep)
      expect(session.present).toBe(true)
      expect(session.subscriptions.toSorted((a, b) => (a.filter < b.filter ? -1 : 1))).toEqual([
        subscription('a/#'),
        subscription('b/with/odd id*[/+', {
          qos: 2,
          noLocal: true,
          retainAsPublished: true,
          retainHandling: 2,
        }),
      ])
      expect(await queueText(session)).toBe('1:1 2:2 3:3')
      const [first] = await readAll(session)
      expect(first).toMatchObject({ delivery: { qos: 1 }, message: { topic: 'a/x', qos: 2 } })
      expect(first?.message?.properties).toEqual({
        payloadFormat: 1,
        contentType: 'text/plain',
        userProperties: [
          ['name', '1'],
          ['name', '2'],
        ],
      })
      expect([...(await store.openSession('plain', keep)).incoming]).toEqual([42])
      expect(await retainedText(store, '#')).toEqual(['r/1=of r/1', 'r/[*]=of r/[*]'])
      expect(await retainedText(store, '$odd/+')).toEqual(['$odd/ä=of $odd/ä'])
      expect((await collect(store.wills())).map(([id, { message }]) => `${id} ${message.topic}`)).toEqual([
        'plain will',
      ])
      await store.close()
      await end()
    })

    it('is only counted by a dry run, and taken once', async () => {
      const store = new MemoryStore(roomy, new RecordedEvents(), systemClock)
      await store.open()
      expect((await migrate(source, store, { dryRun: true })).report).toMatchObject(counted)
      expect(await collect(store.sessions())).toEqual([])
      await migrate(source, store)
      expect((await migrate(source, store)).report).toMatchObject({ sessions: 0, present: 3, queued: 0 })
      expect((await migrate(source, store, { replace: true })).report).toMatchObject(counted)
      expect(await queueText(await store.openSession('plain', keep))).toBe('1:1 2:2 3:3')
      await store.close()
    })

    it('is left as it was, and what is damaged is left out', async () => {
      const store = new MemoryStore(roomy, new RecordedEvents(), systemClock)
      await store.open()
      const [body] = (await source.lrange('outgoing:plain', 0, 0)) as [string]
      await source.set(body, 'damaged')
      await source.hset('client:quiet', 'x', Buffer.from([0xc1, 0xc1]))
      const { report, leftOut } = await migrate(source, store)
      expect(report).toMatchObject({ sessions: 3, queued: 4 })
      expect(leftOut).toContain(`value ${body}`)
      expect(leftOut).toContain('value client:quiet')
      expect(await source.scard('clients')).toBe(3)
      await store.close()
    })
  })
})
