import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { RedisConnections } from '../../store/redis/connection.js'
import { createRedisPort } from '../../store/redis/port.js'
import {
  clusterConfig,
  flushAll,
  keysOf,
  redisConfig,
  kindsOfRedis,
  until,
  type RedisServer,
} from '../../store/redis/testing.js'
import { FakeCluster, Inbox, message, TestNode } from './testing.js'

describe.each(kindsOfRedis)('the bus on $name', ({ start }) => {
  let servers: readonly RedisServer[] = []
  const connections: RedisConnections[] = []
  const nodes: TestNode[] = []
  let cluster = new FakeCluster()

  beforeAll(async () => {
    servers = await start()
  }, 60_000)
  afterEach(async () => {
    for (const { bus, membership } of nodes.splice(0)) {
      cluster.leave(membership.self)
      await bus.stop()
    }
    for (const each of connections.splice(0)) each.close()
    await flushAll(servers)
    cluster = new FakeCluster()
  })
  afterAll(async () => {
    await Promise.all(servers.map((server) => server.stop()))
  })

  const begin = async (name: string): Promise<TestNode> => {
    const [first] = servers
    const config = servers.length > 1 ? clusterConfig(servers) : redisConfig(first?.port ?? 0)
    const made = new RedisConnections(config, { redisLost: () => {}, redisBack: () => {} })
    connections.push(made)
    const node = new TestNode(cluster.join(name), createRedisPort(made, config.keyPrefix))
    nodes.push(node)
    await node.bus.start()
    return node
  }

  const join = async (name: string): Promise<TestNode> => {
    const node = await begin(name)
    await node.bus.introduced()
    return node
  }

  /** How long each key still lives when nobody renews it, seconds. */
  const lifetimes = async (): Promise<number[]> => {
    const each = servers.map(async ({ client }) =>
      Promise.all((await client.keys('*')).map((key) => client.ttl(key))),
    )
    return (await Promise.all(each)).flat()
  }

  it('brings a message to the node that wants it, and leaves no key behind', async () => {
    const a = await join('a')
    const b = await join('b')
    const c = await join('c')
    const inbox = new Inbox('x')
    b.subscribe(inbox, 'rooms/+')
    b.subscribe(inbox, '#')
    await b.interest.settled(true)
    a.publish(message('rooms/1', 'once'))
    await until(() => inbox.received.length > 0)
    expect(inbox.received).toEqual(['once'])
    expect(c.messages).toEqual([])
    for (const { bus, membership } of nodes.splice(0)) {
      cluster.leave(membership.self)
      await bus.stop()
    }
    expect(await keysOf(servers)).toEqual([])
  })

  it('leaves nothing for longer than a minute of a node that ends before others know of it', async () => {
    await begin('a')
    await until(async () => (await lifetimes()).length === 2)
    for (const seconds of await lifetimes()) {
      expect(seconds).toBeGreaterThan(30)
      expect(seconds).toBeLessThanOrEqual(60)
    }
  })

  it('tells a node that comes later what is wanted', async () => {
    const a = await join('a')
    const inbox = new Inbox('x')
    for (let i = 0; i < 2_500; i++) a.subscribe(inbox, `t/${i}`)
    await a.interest.settled(true)
    const late = await join('late')
    late.publish(message('t/2499'))
    await until(() => inbox.received.length > 0)
    expect(inbox.received).toEqual(['t/2499'])
  })

  it('answers a question in time, and says so when a node does not', async () => {
    const a = await join('a')
    const b = await join('b')
    const question = { kind: 'takeover', clientId: 'x', epoch: 3, sessionEnds: true } as const
    expect(await a.bus.ask('b', question, 1_000)).toBe(true)
    expect(b.questions).toContainEqual(question)
    b.whenAsked = () => new Promise(() => {})
    expect(await a.bus.ask('b', question, 20)).toBe(false)
    expect(await a.bus.ask('nobody', question, 20)).toBe(false)
  })

  it('goes on where it was when connections are cut', async () => {
    const a = await join('a')
    const b = await join('b')
    const inbox = new Inbox('x')
    b.subscribe(inbox, '#')
    await b.interest.settled(true)
    for (let i = 0; i < 2_000; i++) {
      a.publish(message('n', String(i), { qos: 1 }))
      if (i % 100 === 0) await new Promise((resolve) => setTimeout(resolve, 2))
      if (i % 500 === 250)
        await Promise.all(servers.map(({ client }) => client.call('client', 'kill', 'type', 'normal')))
    }
    await until(() => inbox.received.length >= 2_000)
    expect(inbox.received).toEqual(Array.from({ length: 2_000 }, (_, i) => String(i)))
    expect(b.missedFrom).toEqual([])
  })

  it('starts again with a Redis that has lost everything', async () => {
    const a = await join('a')
    const b = await join('b')
    const inbox = new Inbox('x')
    b.subscribe(inbox, 'x')
    await b.interest.settled(true)
    for (const server of servers) await server.kill()
    a.publish(message('x', 'lost or not', { qos: 1 }))
    for (const server of servers) await server.start()
    await until(() => b.missedFrom.length > 0 && a.missedFrom.length > 0)
    // Until then `a` may have read what `b` wants before `b` has written it again.
    await b.interest.settled(false)
    a.publish(message('x', 'again'))
    await until(() => inbox.received.includes('again'))
    const c = await join('c')
    c.publish(message('x', 'of a newcomer'))
    await until(() => inbox.received.includes('of a newcomer'))
  })
})
