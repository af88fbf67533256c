import { rmSync } from 'node:fs'
import { describeWith } from '../../../e2e/harness/programs.js'
import { expect, it } from 'vitest'
import { accept, keep, message, queueText, settle, to } from '../conformance/bench.js'
import { reasonOf, useServers } from './test-servers.js'
import { until, type RedisServer } from './testing.js'

const { release, redis, opened } = useServers()

describeWith('a Redis that is there and refuses', ['redis-server'], () => {
  it('a full memory refuses messages, lets queues be emptied, and is on readiness until it passes', async () => {
    const server = await redis()
    const { store, events } = await opened(server)
    const session = await store.openSession('c', keep)
    await accept(store, { message: message({ text: 'kept' }), recipients: to('c') })
    await server.client.config('SET', 'maxmemory', '1')
    const refused = await accept(store, { message: message(), recipients: to('c') })
    expect(refused.error).toBe('STORE_UNWRITABLE')
    expect(store.readiness()).toMatchObject({
      ready: false,
      reason: expect.stringMatching(/memory/) as string,
    })
    expect(await settle(session, 1)).toBeUndefined()
    await server.client.config('SET', 'maxmemory', '0')
    expect((await accept(store, { message: message(), recipients: to('c') })).sequences).toEqual([2])
    await until(() => store.readiness().ready)
    expect(events.lines).toEqual(['opened redis 0 0', 'writeFailed STORE_UNWRITABLE', 'writesRecovered'])
  })

  // Said in the middle of a script, where a damaged value fails an operation alone: taken for that, the message would be
  // acknowledged and in no queue.
  it.each([
    {
      what: 'a disk that it cannot save to',
      begin: refuseToSave,
      end: saveAgain,
      reason: /cannot save its data.*MISCONF.*Give its disk room/,
    },
    {
      what: 'being a replica',
      begin: ({ client }: RedisServer) => client.call('replicaof', '127.0.0.1', '1'),
      end: ({ client }: RedisServer) => client.call('replicaof', 'no', 'one'),
      reason: /is a read-only replica.*Point `redis` at the master/,
    },
    {
      what: 'too few replicas of its own',
      begin: ({ client }: RedisServer) => client.config('SET', 'min-replicas-to-write', '1'),
      end: ({ client }: RedisServer) => client.config('SET', 'min-replicas-to-write', '0'),
      reason: /min-replicas-to-write/,
    },
  ])('a Redis that refuses writes over $what: nothing is acknowledged, all waits', async (cause) => {
    const server = await redis()
    const { store, events } = await opened(server)
    const session = await store.openSession('c', keep)
    await cause.begin(server)
    await until(() => cause.reason.test(reasonOf(store)))
    let acknowledged = false
    const accepting = accept(store, { message: message(), recipients: to('c') }).finally(
      () => (acknowledged = true),
    )
    await until(() => events.lines.includes('writeFailed STORE_UNWRITABLE'))
    await new Promise(setImmediate)
    expect(acknowledged).toBe(false)
    await cause.end(server)
    expect((await accepting).sequences).toEqual([1])
    expect(await queueText(session)).toBe('1:x')
    await until(() => store.readiness().ready)
    expect(events.lines.filter((line) => line.startsWith('entryDamaged'))).toEqual([])
  })

  it('a right that is taken away refuses what needs it, and is named until it is given back', async () => {
    const server = await redis()
    const { store, events } = await opened(server)
    const session = await store.openSession('c', keep)
    await server.client.call('acl', 'setuser', 'default', '-zadd')
    const refused = await accept(store, { message: message(), recipients: to('c') })
    expect(refused).toMatchObject({ error: 'STORE_UNWRITABLE', sequences: [] })
    await until(() => /does not give the user the rights.*refused: zadd.*\+zadd/.test(reasonOf(store)))
    await server.client.call('acl', 'setuser', 'default', '+zadd')
    await until(() => store.readiness().ready)
    expect(await accept(store, { message: message(), recipients: to('c') })).toMatchObject({ sequences: [1] })
    expect(await queueText(session)).toBe('1:x')
    expect(events.lines.filter((line) => line.startsWith('entryDamaged'))).toEqual([])
  })

  it('is ready again behind a standstill although nobody writes', async () => {
    const server = await redis()
    const { store } = await opened(server)
    await server.client.config('SET', 'busy-reply-threshold', '50')
    const holder = server.client.duplicate()
    release(() => {
      holder.disconnect()
      return Promise.resolve()
    })
    await until(() => holder.status === 'ready')
    holder.eval('while true do end', 0).catch(() => {})
    await until(() => reasonOf(store).includes('is busy with a script'))
    await server.client.call('script', 'kill')
    await until(() => store.readiness().ready)
  })

  it('says that the password is refused, when it was changed, and never repeats it', async () => {
    const server = await redis('--requirepass', 'first-secret')
    const { store } = await opened(server, { password: 'first-secret' })
    await server.client.config('SET', 'requirepass', 'second-secret')
    await server.client.call('client', 'kill', 'type', 'normal', 'skipme', 'yes')
    await until(() => /refuses the user or password.*Check user and password/.test(reasonOf(store)))
    expect(reasonOf(store)).not.toMatch(/first-secret|second-secret/)
    await server.client.config('SET', 'requirepass', 'first-secret')
    await until(() => store.readiness().ready)
  })
})

async function refuseToSave({ client }: RedisServer): Promise<void> {
  const [, directory = ''] = (await client.config('GET', 'dir')) as string[]
  rmSync(directory, { recursive: true })
  await client.config('SET', 'save', '3600 1')
  await client.bgsave()
  await until(async () => (await client.info('persistence')).includes('rdb_last_bgsave_status:err'))
}

async function saveAgain({ client }: RedisServer): Promise<void> {
  await client.config('SET', 'save', '')
}
