import { readFileSync } from 'node:fs'
import { describeWith } from '../../../e2e/harness/programs.js'
import { expect, it } from 'vitest'
import { GatewayError } from '../../contract/errors.js'
import {
  accept,
  collect,
  keep,
  message,
  queueText,
  readAll,
  retainedText,
  subscription,
  to,
} from '../conformance/bench.js'
import { neededCommands, neededRights } from './rights.js'
import { useServers } from './test-servers.js'
import { openableStore, startCluster, until, type RedisServer } from './testing.js'
import type { RedisConfig } from '../../../config/schema.js'

const { release, redis } = useServers()

async function failure(servers: readonly RedisServer[], fields: Partial<RedisConfig> = {}): Promise<string> {
  const { store, end } = openableStore(servers, fields)
  release(end)
  try {
    await store.open()
    await store.close()
    return 'opened'
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error
    return `${error.code}: ${error.message} ${error.hint ?? ''}`
  }
}

describeWith('opening', ['redis-server'], () => {
  it('tells of an address where nothing answers', async () => {
    const server = await redis()
    await server.kill()
    expect(await failure([server], { connectTimeoutSeconds: 0.5 })).toMatch(
      /^REDIS_UNREACHABLE: .*127\.0\.0\.1:\d+ .*ECONNREFUSED.* Check the address/,
    )
  })

  it('tells of a wrong password, of a missing one, and never repeats it', async () => {
    const server = await redis('--requirepass', 'secret')
    for (const password of ['wrong-one', undefined]) {
      const told = await failure([server], { password })
      expect(told).toMatch(/^REDIS_UNREACHABLE: .*refuses the user or password.*Check user and password/)
      expect(told).not.toContain('wrong-one')
    }
    expect(await failure([server], { password: 'secret' })).toBe('opened')
    expect(await failure([server], { url: `redis://:secret@127.0.0.1:${server.port}` })).toBe('opened')
  })

  it('tells of missing rights: which are refused, and the least that is needed', async () => {
    const server = await redis()
    const least = neededRights('test', false).split(' ')
    const user = (name: string, ...rules: readonly string[]): Promise<unknown> =>
      server.client.call('acl', 'setuser', name, 'reset', 'on', '>pw', ...rules)
    const told = (username: string, fields = {}): Promise<string> =>
      failure([server], { username, password: 'pw', ...fields })
    await user('enough', ...least)
    expect(await told('enough')).toBe('opened')
    expect(readFileSync('docs/redis.md', 'utf8')).toContain(` ${neededRights('openclaw', false)}\n`)
    // They are needed behind the opening, or lived without.
    const later: readonly string[] = ['subscribe', 'info']
    for (const command of neededCommands(false).filter((each) => !later.includes(each))) {
      await user('lacking', ...least.filter((rule) => rule !== `+${command}`))
      const text = await told('lacking')
      expect(text).toMatch(/^REDIS_UNSUITABLE: .*rights.* ACL SETUSER <user> ~test\* &test\* \+/)
      expect(text).toMatch(new RegExp(`(refused: ${command.replace(/\|.*/, '')}\\b|'${command}' command)`))
    }
    await user('keys', '~other*', '&*', '+@all')
    expect(await told('keys')).toMatch(/rights .*keys/)
    await user('nodes', '~test{0}*', '~test:*', '&*', '+@all')
    expect(await told('nodes')).toMatch(/rights .*keys/)
    await user('channels', '~*', 'resetchannels', '+@all')
    expect(await told('channels')).toMatch(/rights .*refused: channels/)
    expect(await told('enough', { waitReplicas: 1 })).toMatch(/'wait' command.*\+wait/)
    expect(await told('enough', { url: `${server.url}/3` })).toMatch(/right .*'select' command.*\+select/)
  })

  it('tells of a database that there is not, rather than using another one', async () => {
    const server = await redis()
    expect(await failure([server], { url: `${server.url}/99` })).toMatch(
      /^REDIS_UNSUITABLE: The database 99 of the Redis .*out of range/,
    )
    expect(await failure([server], { url: `${server.url}/3` })).toBe('opened')
  })

  it('tells of a read-only replica', async () => {
    const master = await redis()
    const replica = await redis('--replicaof', '127.0.0.1', String(master.port))
    expect(await failure([replica])).toMatch(
      /^REDIS_UNSUITABLE: .*read-only replica of 127\.0\.0\.1:\d+.*master/,
    )
  })

  it('tells a Cluster from a single one', async () => {
    const single = await redis()
    const cluster = await startCluster()
    release(() => Promise.all(cluster.map((server) => server.stop())))
    expect(await failure(cluster.slice(0, 1))).toMatch(/^REDIS_UNSUITABLE: .*part of a Cluster.*redis\.nodes/)
    const nodes = [single.url]
    expect(await failure([single], { url: undefined, nodes })).toMatch(
      /^REDIS_UNSUITABLE: .*no Cluster.*redis\.url/,
    )
  })

  it('tells of keys that another version wrote', async () => {
    const server = await redis()
    await server.client.hset('test:format', { version: 99, partitions: 1 })
    expect(await failure([server])).toMatch(/^STORE_VERSION: .*format 99/)
  })

  it('says on readiness that messages are evicted, and names what else is at risk', async () => {
    const server = await redis('--maxmemory', '100mb', '--maxmemory-policy', 'allkeys-lru')
    const { store, events, end } = openableStore([server])
    await store.open()
    release(end, () => store.close())
    expect(store.readiness()).toMatchObject({
      ready: false,
      reason: expect.stringMatching(/allkeys-lru.*noeviction/) as string,
    })
    expect(events.risks.join()).toMatch(/keeps nothing on disk.*appendonly/)
    await server.client.config('SET', 'maxmemory-policy', 'noeviction')
    await store.close()
    const again = openableStore([server])
    await again.store.open()
    release(again.end, () => again.store.close())
    expect(again.store.readiness()).toMatchObject({
      ready: true,
      warnings: [expect.stringMatching(/keeps nothing on disk.*appendonly/)],
    })
  })

  it('says nothing of a Redis that keeps everything', async () => {
    const server = await redis('--appendonly', 'yes')
    const { store, events, end } = openableStore([server])
    await store.open()
    release(end, () => store.close())
    expect([store.readiness(), events.risks]).toEqual([{ ready: true }, []])
  })
})

describeWith('a damaged value', ['redis-server'], () => {
  it('costs that one entry, and is named', async () => {
    const server = await redis()
    const { store, events, end } = openableStore([server])
    release(end, () => store.close())
    await store.open()
    const { client } = server
    for (const id of ['a', 'b', 'c', 'd', 'e']) {
      const session = await store.openSession(id, keep)
      await session.subscribe([subscription('x'), subscription('y')])
      await store.putWill(id, { message: message(), delayInterval: 0, dueAt: undefined })
    }
    for (const text of ['1', '2', '3'])
      await accept(store, { message: message({ text, topic: text }), recipients: to('a', 'b'), retain: true })
    const [base] = (await client.keys('*s:a')).map((key) => key.slice(0, -3))
    const bodies = (await client.keys(`${base}m:*`)).filter((key) => !key.endsWith(':n')).sort()
    await client.set(bodies[1] ?? '', 'damaged')
    await client.hset(`${base}retained`, '2', 'damaged')
    await client.hset(`${base}wills`, 'b', 'damaged')
    await client.hset(`${base}s:c`, 's:x', 'damaged')
    await client.set(`${base}s:d`, 'no hash')
    await client.set(`${base}c:e`, 'damaged')
    const a = await store.openSession('a', keep)
    expect(await queueText(a)).toBe('1:1 3:3')
    expect(await queueText(a)).toBe('1:1 3:3')
    expect(await retainedText(store, '#')).toEqual(['1=1', '3=3'])
    expect((await collect(store.wills())).map(([id]) => id).sort()).toEqual(['a', 'c', 'd', 'e'])
    const records = await collect(store.sessions())
    expect(records.map(({ clientId, subscriptions }) => [clientId, subscriptions.length]).sort()).toEqual([
      ['a', 2],
      ['b', 2],
      ['c', 1],
      ['e', 2],
    ])
    const { sequences } = await accept(store, { message: message(), recipients: to('e', 'b') })
    expect(sequences).toEqual([undefined, 4])
    for (const id of ['d', 'e']) expect((await store.openSession(id, keep)).present).toBe(false)
    expect(new Set(events.lines.filter((line) => line.startsWith('entryDamaged')))).toEqual(
      new Set(
        ['queue entry', 'retained message', 'will', 'subscription', 'session'].map(
          (what) => `entryDamaged ${what}`,
        ),
      ),
    )
  })

  it('of any kind under any key leaves the node running', async () => {
    const server = await redis()
    const { store, events, end } = openableStore([server])
    release(end, () => store.close())
    await store.open()
    const session = await store.openSession('a', keep)
    await accept(store, { message: message(), recipients: to('a', 'nobody'), retain: true })
    const [base] = (await server.client.keys('*s:a')).map((key) => key.slice(0, -3))
    for (const key of ['q:a', 'retained', 'topics', 'wills', 'expiry', 'sessions', 'meta', 'log']) {
      await server.client.del(`${base}${key}`)
      await server.client.set(`${base}${key}`, 'of the wrong kind')
      await accept(store, { message: message({ topic: key }), recipients: to('a'), retain: true })
      await store.putWill('a', { message: message(), delayInterval: 0, dueAt: undefined }).catch(() => {})
      await readAll(session).catch(() => {})
      await server.client.del(`${base}${key}`)
    }
    await until(() => store.readiness().ready)
    expect(events.lines.some((line) => line.startsWith('entryDamaged'))).toBe(true)
    await store.discardSession('a')
    const again = await store.openSession('a', keep)
    await accept(store, { message: message({ text: 'well' }), recipients: to('a') })
    expect(await queueText(again)).toBe('1:well')
  })
})
