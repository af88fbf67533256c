import { describeWith } from '../../../e2e/harness/programs.js'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
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
import { LEASE_MS, RedisTime, TestNode } from './testing.js'

const ORPHANS = 'test{nodes}:orphans'
const NOBODY = { sessions: [], wills: [] } as const

describeWith('Redis', ['redis-server'], () => {
  describe.each(kindsOfRedis)('membership on $name', ({ start }) => {
    let servers: readonly RedisServer[] = []
    let time = new RedisTime()
    let nodes: TestNode[] = []
    const opened: RedisConnections[] = []

    beforeAll(async () => {
      servers = await start()
    })
    afterAll(() => Promise.all(servers.map((server) => server.stop())))

    beforeEach(async () => {
      await flushAll(servers)
      time = new RedisTime()
      nodes = []
      return async () => {
        for (const { port } of nodes) port.release()
        await Promise.all(nodes.map(({ membership }) => membership.stop()))
        for (const connections of opened.splice(0)) connections.close()
      }
    })

    const make = (label: string, keyPrefix = 'test'): TestNode => {
      const [first] = servers
      const config = servers.length > 1 ? clusterConfig(servers) : redisConfig(first?.port ?? 0)
      const connections = new RedisConnections(config, { redisLost: () => {}, redisBack: () => {} })
      opened.push(connections)
      const node = new TestNode(label, createRedisPort(connections, keyPrefix), time)
      nodes.push(node)
      return node
    }

    const join = async (label: string, keyPrefix?: string): Promise<TestNode> => {
      const node = make(label, keyPrefix)
      const joining = node.membership.start()
      // The connection is made while the node tries.
      await Promise.race([joining, until(() => (node.clock.advance(50), node.membership.readiness().ready))])
      await joining
      node.lines.splice(0)
      return node
    }

    const together = async (): Promise<readonly [TestNode, TestNode, TestNode]> => {
      const [a, b, c] = [await join('a'), await join('b'), await join('c')]
      const all = [a, b, c]
      await until(() => all.every(({ membership }) => membership.others.size === 2))
      for (const { lines } of all) lines.splice(0)
      return [a, b, c]
    }

    /** As `until`, with time going by. */
    const eventually = (look: () => boolean | Promise<boolean>): Promise<void> =>
      until(() => {
        time.ms += 20
        for (const { clock } of nodes) clock.advance(20)
        return look()
      })

    const quiet = (): Promise<void> => until(() => nodes.every(({ port }) => port.underWay === 0))

    /** Time passes everywhere, in steps that let everybody beat in between. */
    const pass = async (ms: number, among: readonly TestNode[] = nodes): Promise<void> => {
      for (let left = ms; left > 0; left -= LEASE_MS / 12) {
        const step = Math.min(left, LEASE_MS / 12)
        time.ms += step
        for (const { clock } of among) clock.advance(step)
        await new Promise(setImmediate)
        await quiet()
      }
    }

    it('nodes hear of each other at once, when they come and when they go', async () => {
      const a = await join('a')
      const b = await join('b')
      expect([...b.membership.others]).toEqual(['a1'])
      await eventually(() => a.lines.includes('+b1'))
      await b.membership.stop()
      await eventually(() => a.lines.includes('adopted b1'))
      expect(a.lines).toEqual(['+b1', '-b1', 'adopted b1'])
      expect(a.membership.others.size).toBe(0)
    })

    it('a node that is about to stop takes over from nobody, and another one does when it has left', async () => {
      const a = await join('a')
      const b = await join('b')
      await eventually(() => a.lines.includes('+b1'))
      a.membership.retire()
      await b.membership.stop()
      await eventually(() => a.lines.includes('-b1'))
      await pass(LEASE_MS)
      const c = await join('c')
      await a.membership.stop()
      await eventually(() => c.lines.includes('adopted b1') && c.lines.includes('adopted a1'))
      expect(a.lines).not.toContain('adopted b1')
    })

    it('a node that is silent for the time of its lease is taken over from by one of the others', async () => {
      const [a, b, c] = await together()
      c.port.hold()
      await pass(LEASE_MS * 0.6)
      expect([a.lines, b.lines]).toEqual([[], []])
      await pass(LEASE_MS * 0.8)
      await eventually(() => [...a.lines, ...b.lines].includes('adopted c1'))
      await pass(LEASE_MS)
      expect([...a.lines, ...b.lines].sort()).toEqual(['-c1', '-c1', 'adopted c1'])
    })

    it('a node whose process is known to have ended is taken over from at once', async () => {
      const [a, b, c] = await together()
      c.port.hold()
      await a.membership.ended('c1')
      await eventually(() => [...a.lines, ...b.lines].includes('adopted c1'))
      expect([...a.lines, ...b.lines].sort()).toEqual(['-c1', '-c1', 'adopted c1'])
      // Told twice, or of one that has left by itself: nothing is done again.
      await a.membership.ended('c1')
      await pass(LEASE_MS)
      expect([...a.lines, ...b.lines]).toHaveLength(3)
    })

    it('a node whose end cannot be told loses its lease in time', async () => {
      const [a, b, c] = await together()
      c.port.hold()
      a.port.isCut = true
      await a.membership.ended('c1')
      a.port.isCut = false
      await pass(LEASE_MS * 1.5)
      await eventually(() => [...a.lines, ...b.lines].includes('adopted c1'))
    })

    it('a node that wakes finds itself taken for dead, lets go of everything and joins under another name', async () => {
      const [a, b, c] = await together()
      const told: string[] = []
      c.membership.watch({
        expelled: () => Promise.resolve(void told.push(`expelled ${c.membership.self}`)),
        rejoined: () =>
          Promise.resolve(void told.push(`rejoined ${c.membership.self} ${c.membership.others.size}`)),
      })
      c.port.hold()
      await pass(LEASE_MS * 1.5)
      await eventually(() => [...a.lines, ...b.lines].includes('adopted c1'))
      c.port.release()
      await eventually(() => told.length === 2)
      expect(told).toEqual(['expelled c1', 'rejoined c2 2'])
      await eventually(() => [a, b].every(({ membership }) => membership.others.has('c2')))
      expect(a.lines.filter((line) => line !== 'adopted c1')).toEqual(['-c1', '+c2'])
      await pass(LEASE_MS * 2)
      expect(c.lines).toEqual(['expelled c1', 'in as c2'])
      expect(c.membership.readiness()).toEqual({ ready: true })
    })

    it('what the store is refused tells the same, once for a name', async () => {
      const [, , c] = await together()
      c.store.fenced()
      c.store.fenced()
      expect(c.membership.readiness().ready).toBe(false)
      await eventually(() => c.membership.self === 'c2' && c.membership.readiness().ready)
      expect(c.lines).toEqual(['expelled c1', 'in as c2'])
      c.store.fenced()
      await eventually(() => c.membership.self === 'c3' && c.membership.readiness().ready)
    })

    it('joining again is tried until it works, each time with everything let go of', async () => {
      const c = await join('c')
      let expelled = 0
      c.membership.watch({ expelled: () => Promise.resolve(expelled++).then(() => {}) })
      let failures = 2
      c.store.rejoining = () => (failures-- > 0 ? Promise.reject(new Error('away')) : Promise.resolve())
      c.store.fenced()
      await eventually(() => (c.clock.advance(1_000), c.lines.includes('in as c2')))
      expect(c.lines).toEqual(['expelled c1', 'rejoin failed', 'rejoin failed', 'in as c2'])
      expect(expelled).toBe(3)
    })

    it('who dies while it takes over is taken over from in turn, and what it had to do as well', async () => {
      const [a, b, c] = await together()
      const asked: string[] = []
      for (const node of [a, b])
        node.store.adopting = (gone) => {
          asked.push(`${node.membership.self} ${gone}`)
          return gone === 'c1' && asked.length === 1 ? new Promise(() => {}) : Promise.resolve(NOBODY)
        }
      c.port.hold()
      await pass(LEASE_MS * 1.5)
      await eventually(() => asked.length === 1)
      const [dying, other] = asked[0] === 'a1 c1' ? [a, b] : [b, a]
      dying.port.hold()
      await pass(LEASE_MS * 1.5, [other])
      await eventually(() => asked.length === 3)
      const self = other.membership.self
      expect(asked.slice(1).sort()).toEqual([`${self} ${dying.membership.self}`, `${self} c1`].sort())
      // Its part is never going to end; the node is let go of as it is.
      dying.store.adopting = () => Promise.resolve(NOBODY)
      nodes = nodes.filter((node) => node !== dying)
    })

    it('a takeover that fails is tried again with the next beat', async () => {
      const a = await join('a')
      const b = await join('b')
      await until(() => a.membership.others.has('b1'))
      let failures = 2
      a.store.adopting = () => (failures-- > 0 ? Promise.reject(new Error('away')) : Promise.resolve(NOBODY))
      await b.membership.stop()
      await eventually(() => a.lines.includes('-b1'))
      await pass(LEASE_MS)
      await eventually(() => a.lines.includes('adopted b1'))
      expect(a.lines.filter((line) => line === 'adoption of b1 failed').length).toBe(2)
      await eventually(async () => !(await keysOf(servers)).includes(ORPHANS))
    })

    it('nobody is taken for dead because Redis was away: each gets the time of a lease to come back', async () => {
      const [a, b] = await together()
      for (const { port } of nodes) port.isCut = true
      await pass(LEASE_MS * 3)
      expect(a.lines).toEqual(['no beat'])
      // One is back later than the others, and one is really gone.
      for (const { port } of [a, b]) port.isCut = false
      await pass(LEASE_MS * 0.8, [a, b])
      expect([a.lines, b.lines]).toEqual([
        ['no beat', 'beat again'],
        ['no beat', 'beat again'],
      ])
      await pass(LEASE_MS * 0.8, [a, b])
      await eventually(() => [...a.lines, ...b.lines].includes('adopted c1'))
    })

    it('nobody is taken for dead because Redis has lost its data', async () => {
      const [a, b, c] = await together()
      await flushAll(servers)
      await pass(LEASE_MS * 2)
      expect([...a.membership.others].sort()).toEqual(['b1', 'c1'])
      // Nor for gone: its sessions would be taken for such of nobody.
      expect(
        [a, b, c].flatMap(({ lines }) => lines).filter((line) => /^-|expelled|adopted/.test(line)),
      ).toEqual([])
    })

    it('nobody hears that others have left when Redis has lost its data', async () => {
      const [a, b, c] = await together()
      await flushAll(servers)
      await pass(LEASE_MS * 0.5, [a])
      await pass(LEASE_MS * 2)
      expect([a, b, c].flatMap(({ lines }) => lines)).toEqual([])
      // But of one that has ended meanwhile.
      await flushAll(servers)
      c.port.hold()
      await pass(LEASE_MS * 1.5)
      await eventually(() => [...a.lines, ...b.lines].includes('adopted c1'))
    })

    it('nobody hears that those have left who have joined since the copy that Redis has come back with', async () => {
      const [a, b, c] = await together()
      for (const { client } of servers) await client.call('zrem', 'test{nodes}:leases', 'c1').catch(() => {})
      for (const { port } of nodes) port.isCut = true
      await pass(LEASE_MS)
      for (const { port } of nodes) port.isCut = false
      await pass(LEASE_MS * 0.8)
      expect([a, b, c].flatMap(({ lines }) => lines.filter((line) => /^[-+]/.test(line)))).toEqual([])
    })

    it.each([3_600_000, -3_600_000])(
      'nobody is taken for dead because the clock of Redis is set by %d ms',
      async (ms) => {
        const [a, b, c] = await together()
        time.ms += ms
        await pass(LEASE_MS * 2)
        expect([a, b, c].flatMap(({ lines }) => lines)).toEqual([])
        // And who is gone is found out within the same time.
        c.port.hold()
        await pass(LEASE_MS * 1.5)
        await eventually(() => [...a.lines, ...b.lines].includes('adopted c1'))
      },
    )

    it('the clock of a machine does not matter', async () => {
      const [a, b] = await together()
      a.clock.setWallClock(3_600_000)
      b.clock.setWallClock(-3_600_000)
      await pass(LEASE_MS * 2)
      expect(nodes.flatMap(({ lines }) => lines)).toEqual([])
    })

    it('a name that nobody knows, found in Redis, gets a lease, and is taken over from behind that', async () => {
      const a = await join('a')
      await a.membership.suspect('a1')
      await a.membership.suspect('stray')
      await pass(LEASE_MS * 0.5)
      expect(a.lines.filter((line) => line.startsWith('adopted'))).toEqual([])
      await pass(LEASE_MS)
      await eventually(() => a.lines.includes('adopted stray'))
      await a.membership.suspect('stray')
      await pass(LEASE_MS * 2)
      expect(a.lines.filter((line) => line.startsWith('adopted'))).toEqual(['adopted stray'])
    })

    it('nodes of another key prefix are none of theirs', async () => {
      const a = await join('a')
      const other = await join('o', 'other')
      expect(other.membership.others.size).toBe(0)
      await other.membership.stop()
      await pass(LEASE_MS * 2)
      expect(a.lines).toEqual([])
    })

    it('the others hear of it when the last thing that a node does fails', async () => {
      const [a, , c] = await together()
      c.port.isCut = true
      await c.membership.stop()
      await pass(LEASE_MS * 1.5)
      await eventually(() => a.lines.includes('-c1'))
    })

    it('nothing is left in Redis but what ends by itself, and who is to be taken over from', async () => {
      const [a, b, c] = await together()
      await b.membership.stop()
      await eventually(() => [...a.lines, ...c.lines].includes('adopted b1'))
      await c.membership.stop()
      await eventually(() => a.lines.includes('adopted c1'))
      await quiet()
      await a.membership.stop()
      const lasting: string[] = []
      for (const server of servers)
        for (const key of await keysOf([server])) if ((await server.client.pttl(key)) < 0) lasting.push(key)
      expect(lasting).toEqual([ORPHANS])
      await join('d')
      await eventually(async () => !(await keysOf(servers)).includes(ORPHANS))
    })
  })
})
