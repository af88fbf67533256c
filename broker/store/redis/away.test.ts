import { describeWith } from '../../../e2e/harness/programs.js'
import { expect, it, vi } from 'vitest'
import { accept, keep, message, queueText, retainedText, settle, to } from '../conformance/bench.js'
import { RedisLink } from './link.js'
import { reasonOf, useServers } from './test-servers.js'
import { until } from './testing.js'

const { release, redis, opened } = useServers()

describeWith('while Redis is away', ['redis-server'], () => {
  it('a batch that was sent again on another connection changes nothing when the first one comes late', async () => {
    const { store } = await opened(await redis())
    const session = await store.openSession('c', keep)
    const write = vi.spyOn(RedisLink.prototype, 'write')
    release(() => {
      write.mockRestore()
      return Promise.resolve()
    })
    await accept(store, { message: message({ text: '1' }), recipients: to('c') })
    const [batch] = write.mock.calls
    const [link] = write.mock.contexts as RedisLink[]
    await accept(store, { message: message({ text: '2' }), recipients: to('c') })
    await expect(link?.write(...batch!)).rejects.toThrow('STALE')
    expect(await queueText(session)).toBe('1:1 2:2')
  })

  it('writes wait, and everything goes on by itself when it is back, nothing lost and nothing twice', async () => {
    const server = await redis('--appendonly', 'yes', '--appendfsync', 'always')
    const { store, events } = await opened(server)
    const session = await store.openSession('c', keep)
    const accepted: Promise<unknown>[] = []
    const publish = (text: string): void =>
      void accepted.push(accept(store, { message: message({ text }), recipients: to('c') }))
    // Cut in the middle of a stream of writes: some have an answer, some have taken effect without one.
    for (let i = 0; i < 200; i++) {
      publish(`${i}`)
      if (i % 10 === 0) await new Promise(setImmediate)
    }
    await server.kill()
    for (let i = 200; i < 300; i++) publish(`${i}`)
    await until(() => !store.readiness().ready)
    await until(() => reasonOf(store).includes('ECONNREFUSED'))
    expect(reasonOf(store)).toMatch(
      /no usable Redis at 127\.0\.0\.1:\d+ \(.*ECONNREFUSED.*\)\. Check the address/,
    )
    await server.start()
    await Promise.all(accepted)
    const expected = Array.from({ length: 300 }, (_, i) => `${i + 1}:${i}`).join(' ')
    expect(await queueText(session)).toBe(expected)
    await until(() => store.readiness().ready)
    expect(events.lines).toContain('writeFailed STORE_UNWRITABLE')
    expect(events.lines).toContain('writesRecovered')
  })

  it('a batch that is sent again, since its answer did not come in time, takes effect once', async () => {
    const server = await redis()
    const { store } = await opened(server, { commandTimeoutSeconds: 0.3 })
    const session = await store.openSession('c', keep)
    server.pause()
    const waiting = accept(store, { message: message(), recipients: to('c') })
    await until(() => !store.readiness().ready)
    server.resume()
    expect(await waiting).toEqual({ error: undefined, sequences: [1] })
    expect(await queueText(session)).toBe('1:x')
    expect(session.queued).toBe(1)
  })

  it('what waits is bounded: beyond it writes fail with STORE_BUSY, what frees room still finds a place', async () => {
    const server = await redis()
    const { store } = await opened(server)
    const session = await store.openSession('c', keep)
    await accept(store, { message: message({ text: 'first' }), recipients: to('c') })
    server.pause()
    const payload = Buffer.alloc(1_000_000)
    const waiting: Promise<{ readonly error: string | undefined }>[] = []
    for (let i = 0; i < 80; i++)
      waiting.push(accept(store, { message: message({ payload }), recipients: to('c'), retain: i === 0 }))
    const settled = settle(session, 1)
    server.resume()
    const errors = (await Promise.all(waiting)).map(({ error }) => error)
    expect(errors.indexOf('STORE_BUSY')).toBeGreaterThan(60)
    expect(new Set(errors)).toEqual(new Set([undefined, 'STORE_BUSY']))
    expect(await settled).toBeUndefined()
  })

  it('readiness tells of it, although nobody writes', async () => {
    const server = await redis()
    const { store } = await opened(server, { commandTimeoutSeconds: 0.2 })
    server.pause()
    await until(() => !store.readiness().ready)
    server.resume()
    await until(() => store.readiness().ready)
  })

  it('a close does not wait for ever', async () => {
    const server = await redis()
    const { store } = await opened(server)
    await store.openSession('c', keep)
    await server.kill()
    const waiting = accept(store, { message: message(), recipients: to('c') })
    await store.close()
    expect((await waiting).error).toBe('STORE_UNWRITABLE')
  })

  it('waits for replicas where it is asked to', async () => {
    const server = await redis()
    const { store } = await opened(server, { waitReplicas: 1, keyPrefix: 'replicated' })
    let done = false
    const opening = store.openSession('c', keep).finally(() => (done = true))
    await until(() => reasonOf(store).includes('0 of 1 replicas'))
    expect(done).toBe(false)
    await redis('--replicaof', '127.0.0.1', String(server.port))
    const session = await opening
    expect(await accept(store, { message: message(), recipients: to('c'), retain: true })).toMatchObject({
      sequences: [1],
    })
    expect([await queueText(session), await retainedText(store, '#')]).toEqual(['1:x', ['t=x']])
  })
})
