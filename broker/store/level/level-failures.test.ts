import { mkdir, mkdtemp, readdir, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ClassicLevel } from 'classic-level'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { GatewayError } from '../../contract/errors.js'
import type { Store, StoreLimits } from '../../contract/store.js'
import { ManualClock } from '../../contract/testing/manual-clock.js'
import {
  accept,
  collect,
  enqueue,
  forget,
  keep,
  message,
  queueText,
  readAll,
  RecordedEvents,
  release,
  retainedText,
  roomy,
  settle,
  subscription,
  to,
} from '../conformance/bench.js'
import { openDatabase, type Database } from './database.js'
import { LevelStore } from './level-store.js'

let directory: string
let clock: ManualClock
let events: RecordedEvents
let store: Store
const others: Store[] = []

/** A disk whose writes, and whose opening, can be told to fail. */
const disk = {
  writesFail: false,
  opensFail: false,
  /** Writes wait while this is set. */
  held: undefined as Promise<void> | undefined,
  synced: [] as unknown[],
  batches: 0,
}

async function unreliable(location: string): Promise<Database> {
  if (disk.opensFail) throw Object.assign(new Error('No space left on device'), { code: 'LEVEL_IO_ERROR' })
  const database = await openDatabase(location)
  const begin = database.batch.bind(database) as () => ReturnType<Database['batch']>
  const batch = (): ReturnType<Database['batch']> => {
    const chained = begin()
    const write = chained.write.bind(chained)
    chained.write = async (options: { readonly sync?: boolean | undefined } = {}) => {
      disk.synced.push(options.sync)
      disk.batches++
      await disk.held
      if (disk.writesFail) {
        await chained.close()
        throw new Error('No space left on device')
      }
      await write(options)
    }
    return chained
  }
  return Object.assign(database, { batch })
}

function create(limits: Partial<StoreLimits> = {}, sync = false): Store {
  return new LevelStore({ directory, sync, openDatabase: unreliable }, { ...roomy, ...limits }, events, clock)
}

async function reopened(): Promise<Store> {
  await store.close()
  store = create()
  await store.open()
  return store
}

async function rawKeys(): Promise<string[]> {
  await store.close()
  const raw = await openDatabase(directory)
  const keys = await raw.keys().all()
  await raw.close()
  return keys.map((key) => key.toString('latin1', 0, 1)).sort()
}

async function eventually(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve))
}

beforeEach(async () => {
  Object.assign(disk, { writesFail: false, opensFail: false, held: undefined, synced: [], batches: 0 })
  directory = await mkdtemp(join(tmpdir(), 'openclaw-failures-'))
  clock = new ManualClock()
  events = new RecordedEvents()
  store = create()
  await store.open()
})

afterEach(async () => {
  for (const other of others.splice(0)) await other.close()
  await store.close()
  await rm(directory, { recursive: true })
})

const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'none',
    (error: unknown) => (error as GatewayError).code,
  )

describe('group commit', () => {
  it('writes one batch a tick, and the next group forms while it is written', async () => {
    await store.openSession('a', keep)
    await store.openSession('b', keep)
    disk.batches = 0
    let open = (): void => {}
    disk.held = new Promise((resolve) => (open = resolve))
    const accepted = Array.from({ length: 50 }, () =>
      accept(store, { message: message(), recipients: to('a', 'b') }),
    )
    await eventually(() => disk.batches === 1)
    for (let i = 0; i < 50; i++) {
      accepted.push(accept(store, { message: message(), recipients: to('a') }))
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(disk.batches).toBe(1)
    open()
    await Promise.all(accepted)
    expect(disk.batches).toBe(2)
  })

  it.each([true, false])('passes on whether to wait for the disk (sync: %s)', async (sync) => {
    await store.close()
    store = create({}, sync)
    await store.open()
    disk.synced = []
    await accept(store, { message: message(), retain: true })
    expect(disk.synced).toEqual([sync])
  })

  it('does not wait for the disk with a retained message of QoS 0', async () => {
    let open = (): void => {}
    disk.held = new Promise((resolve) => (open = resolve))
    for (let i = 0; i < 3; i++) {
      const outcome = await accept(store, { message: message({ qos: 0, text: String(i) }), retain: true })
      expect(outcome.error).toBeUndefined()
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(await retainedText(store, '#')).toEqual(['t=2'])
    open()
    store = await reopened()
    expect(await retainedText(store, '#')).toEqual(['t=2'])
  })

  it('is bounded: beyond it writes fail with STORE_BUSY, in their order', async () => {
    await store.openSession('c', keep)
    let open = (): void => {}
    disk.held = new Promise((resolve) => (open = resolve))
    const payload = Buffer.alloc(1_048_576)
    const order: string[] = []
    const accepted = Array.from({ length: 80 }, (_, i) =>
      accept(store, { message: message({ payload }), recipients: to('c') }).then(({ error }) => {
        order.push(`${i}:${error ?? 'ok'}`)
      }),
    )
    const early = accept(store, { message: message({ qos: 0 }), retain: true })
    open()
    disk.held = undefined
    await Promise.all(accepted)
    expect((await early).error).toBe('STORE_BUSY')
    expect(order).toEqual(Array.from({ length: 80 }, (_, i) => `${i}:${i < 64 ? 'ok' : 'STORE_BUSY'}`))
    expect((await accept(store, { message: message(), recipients: to('c') })).error).toBeUndefined()
  })
})

describe('when writes fail', () => {
  it('fails every accept of the batch, and nothing of it is visible', async () => {
    const session = await store.openSession('c', keep)
    await accept(store, { message: message({ text: 'before' }), recipients: to('c'), retain: true })
    disk.writesFail = true
    const failed = await Promise.all([
      accept(store, { message: message({ text: 'a' }), recipients: to('c', 'd'), retain: true }),
      accept(store, {
        message: message({ text: 'b', qos: 2 }),
        recipients: to('c'),
        incoming: { session, packetId: 1 },
      }),
      enqueue(session, message({ text: 'c' })),
    ])
    disk.writesFail = false
    expect(failed.map(({ error }) => error)).toEqual(Array(3).fill('STORE_UNWRITABLE'))
    expect([...session.incoming]).toEqual([])
    expect(await codeOf(session.subscribe([subscription('late')]))).toBe('none')
    expect(await retainedText(store, '#')).toEqual(['t=before'])
    expect(session).toMatchObject({ queued: 1, settledUpTo: 0 })
    expect(await queueText(session)).toBe('1:before')
    expect(
      (await accept(store, { message: message({ text: 'after' }), recipients: to('c') })).sequences,
    ).toEqual([2])
  })

  it('keeps handles, and tries what waits behind the failed batch again', async () => {
    const session = await store.openSession('c', keep)
    await session.subscribe([subscription('a')])
    await accept(store, { message: message({ text: '1' }), recipients: to('c', 'x') })
    await accept(store, {
      message: message({ qos: 2, text: '2' }),
      recipients: to('c'),
      incoming: { session, packetId: 5 },
    })
    disk.writesFail = true
    const failing = settle(session, 1)
    await eventually(() => disk.batches > 0)
    const first = await failing
    const waiting = Promise.all([
      settle(session, 1),
      accept(store, { message: message(), recipients: to('c') }),
    ])
    disk.writesFail = false
    expect(first).toBe('STORE_UNWRITABLE')
    expect(
      (await waiting).map((outcome) => (typeof outcome === 'object' ? outcome.sequences : outcome)),
    ).toEqual([undefined, [3]])
    expect(session.subscriptions).toEqual([subscription('a')])
    expect([...session.incoming]).toEqual([5])
    expect(await queueText(session)).toBe('2:2 3:x')
    expect(await forget(session, 5)).toBeUndefined()
    expect(await release(session, 2)).toBeUndefined()
    expect(events.lines.slice(-2)).toEqual(['writeFailed STORE_UNWRITABLE', 'writesRecovered'])
    store = await reopened()
    expect(await queueText(await store.openSession('c', keep))).toBe('2: 3:x')
  })

  it('is not ready until they succeed again, and finds that out by itself', async () => {
    const session = await store.openSession('c', keep)
    await accept(store, { message: message({ text: '1' }), recipients: to('c') })
    disk.writesFail = disk.opensFail = true
    expect((await accept(store, { message: message(), recipients: to('c') })).error).toBe('STORE_UNWRITABLE')
    await eventually(() => !store.readiness().ready)
    expect(store.readiness()).toMatchObject({
      ready: false,
      reason: expect.stringContaining('No space left on device') as string,
    })
    // Fails at once, with retained messages served and those of QoS 0 still taken.
    expect(await settle(session, 1)).toBe('STORE_UNWRITABLE')
    expect(await codeOf(readAll(session))).toBe('STORE_UNWRITABLE')
    expect(await codeOf(store.openSession('d', keep))).toBe('STORE_UNWRITABLE')
    for (const text of ['1', '2'])
      expect(
        (await accept(store, { message: message({ qos: 0, text }), retain: true })).error,
      ).toBeUndefined()
    expect(await retainedText(store, '#')).toEqual(['t=2'])
    clock.advance(1_000)
    await eventually(() => true)
    expect(store.readiness().ready).toBe(false)
    disk.writesFail = disk.opensFail = false
    clock.advance(1_000)
    await eventually(() => {
      clock.advance(1_000)
      return store.readiness().ready
    })
    expect(events.lines.filter((line) => line.startsWith('write'))).toEqual([
      'writeFailed STORE_UNWRITABLE',
      'writesRecovered',
    ])
    expect(await queueText(await store.openSession('c', keep))).toBe('1:1')
    store = await reopened()
    expect(await retainedText(store, '#')).toEqual(['t=2'])
  })

  it('can be closed all the same', async () => {
    await store.openSession('c', keep)
    disk.writesFail = disk.opensFail = true
    const failing = accept(store, { message: message(), recipients: to('c') })
    await store.close()
    expect((await failing).error).toBe('STORE_UNWRITABLE')
  })
})

describe('opening', () => {
  it('refuses a directory that another process has open: STORE_LOCKED', async () => {
    const second = create()
    expect(await codeOf(second.open())).toBe('STORE_LOCKED')
    expect(second.readiness().ready).toBe(false)
  })

  it('refuses another version, or what is no store of ours: STORE_VERSION', async () => {
    await store.close()
    const raw = await openDatabase(directory)
    await raw.put(Buffer.from('F'), Buffer.from([1, 2, 0x12, 0x9a, 0x52, 0x1c]))
    await raw.close()
    expect(await codeOf(create().open())).toMatch(/STORE_VERSION|STORE_DAMAGED/)
    await rm(directory, { recursive: true })
    const foreign = new ClassicLevel(directory)
    await foreign.put('!client!1', '{}')
    await foreign.close()
    expect(await codeOf(create().open())).toBe('STORE_VERSION')
  })

  it('refuses what cannot be read: STORE_DAMAGED', async () => {
    await accept(store, { message: message(), retain: true })
    await store.close()
    const files = await readdir(directory)
    const manifest = files.find((file) => file.startsWith('MANIFEST')) ?? ''
    await truncate(join(directory, manifest), 3)
    expect(await codeOf(create().open())).toBe('STORE_DAMAGED')
    await rm(join(directory, 'CURRENT'))
    expect(await codeOf(create().open())).toBe('STORE_DAMAGED')
  })

  it('refuses a directory that cannot be written: STORE_UNWRITABLE', async () => {
    await store.close()
    await writeFile(join(directory, 'file'), '')
    const inFile = new LevelStore(
      { directory: join(directory, 'file', 'store'), sync: false },
      roomy,
      events,
      clock,
    )
    expect(await codeOf(inFile.open())).toBe('STORE_UNWRITABLE')
    await mkdir(join(directory, 'disk'))
    disk.writesFail = true
    expect(await codeOf(create().open())).toBe('STORE_UNWRITABLE')
    disk.writesFail = false
    await store.open()
  })
})

describe('a damaged value', () => {
  async function damage(kind: string, change: (value: Buffer) => Buffer): Promise<void> {
    await store.close()
    const raw = await openDatabase(directory)
    for (const [key, value] of await raw.iterator().all())
      if (key.toString('latin1', 0, 1) === kind) {
        await raw.put(key, change(value))
        break
      }
    await raw.close()
    store = create()
    events.lines.length = 0
    await store.open()
  }
  const flipped = (value: Buffer): Buffer => {
    const changed = Buffer.from(value)
    changed.writeUInt8(changed.readUInt8(value.length - 5) ^ 1, value.length - 5)
    return changed
  }
  const cut = (): Buffer => Buffer.from([1, 0])

  async function fill(): Promise<void> {
    for (const id of ['a', 'b']) {
      const session = await store.openSession(id, keep)
      await session.subscribe([subscription('one'), subscription('two')])
      await store.putWill(id, { message: message({ text: id }), delayInterval: 0, dueAt: undefined })
      await accept(store, { message: message({ text: 'i' }), recipients: to(id) })
      await accept(store, { message: message({ topic: id }), retain: true })
    }
    await accept(store, { message: message({ text: 's' }), recipients: to('a', 'b') })
    await accept(store, { message: message({ text: 'last' }), recipients: to('a', 'b') })
  }

  const queues = async (): Promise<string[]> => [
    await queueText(await store.openSession('a', keep)),
    await queueText(await store.openSession('b', keep)),
  ]

  it.each([
    ['flipped', flipped],
    ['cut', cut],
  ])('costs that one queue entry (%s)', async (_, change) => {
    await fill()
    await damage('Q', change)
    expect(await queues()).toEqual(['2:s 3:last', '1:i 2:s 3:last'])
    expect(events.lines.filter((line) => line.startsWith('entryDamaged'))).toEqual([
      'entryDamaged queue entry',
    ])
    await accept(store, { message: message({ text: 'more' }), recipients: to('a') })
    store = await reopened()
    expect(await queues()).toEqual(['2:s 3:last 4:more', '1:i 2:s 3:last'])
    expect(events.lines.filter((line) => line.startsWith('entryDamaged'))).toHaveLength(1)
  })

  it('costs the entries of that one body', async () => {
    await fill()
    await damage('B', flipped)
    expect(await queues()).toEqual(['1:i 3:last', '1:i 3:last'])
    expect(events.lines.filter((line) => line.startsWith('entryDamaged'))).toHaveLength(2)
  })

  it('costs that one retained message, session, subscription or will', async () => {
    await fill()
    await damage('R', flipped)
    expect(await retainedText(store, '#')).toEqual(['b=x'])
    await damage('W', flipped)
    expect((await collect(store.wills())).map(([id]) => id)).toEqual(['b'])
    await damage('U', flipped)
    expect((await store.openSession('a', keep)).subscriptions).toEqual([subscription('two')])
    await damage('S', flipped)
    expect((await collect(store.sessions())).map(({ clientId }) => clientId)).toEqual(['b'])
    expect((await store.openSession('a', keep)).present).toBe(false)
    expect(await queues()).toEqual(['', '1:i 2:s 3:last'])
  })
})

describe('nothing is left behind', () => {
  it('of messages that were settled, released, evicted, expired or cleared', async () => {
    await store.close()
    store = create({ queuedMessages: 3 })
    await store.open()
    const a = await store.openSession('a', keep)
    const b = await store.openSession('b', keep)
    for (let i = 0; i < 8; i++)
      await accept(store, { message: message({ qos: 2 }), recipients: to('a', 'b', 'nobody') })
    await accept(store, { message: message({ expiresAt: clock.now() + 1 }), recipients: to('a', 'b') })
    clock.advance(1)
    for (const session of [a, b]) {
      const entries = await readAll(session)
      await release(session, entries[0]?.sequence ?? 0)
      for (const { sequence } of entries) await settle(session, sequence)
      expect(session.queued).toBe(0)
    }
    await accept(store, { message: message({ text: '' }), retain: true })
    await accept(store, { message: message({ qos: 2 }), incoming: { session: a, packetId: 1 } })
    await forget(a, 1)
    // Format, two sessions, and where the numbering of their queues goes on.
    expect(await rawKeys()).toEqual(['F', 'N', 'N', 'S', 'S'])
  })

  it('of discarded sessions, at once or at the latest after the next start', async () => {
    for (const id of ['a', 'b']) {
      const session = await store.openSession(id, keep)
      await session.subscribe([subscription('x')])
      for (let i = 0; i < 3; i++)
        await accept(store, {
          message: message({ qos: 2 }),
          recipients: to('a', 'b'),
          incoming: { session, packetId: i + 1 },
        })
    }
    await store.discardSession('a')
    await store.openSession('b', { ...keep, cleanStart: true })
    store = await reopened()
    expect(await rawKeys()).toEqual(['F', 'S'])
  })

  it('of bodies that a crash or a damaged entry has orphaned', async () => {
    await store.openSession('a', keep)
    await accept(store, { message: message(), recipients: to('a', 'nobody') })
    await store.close()
    const raw = await openDatabase(directory)
    for (const key of await raw.keys().all()) if (key.toString('latin1', 0, 1) === 'Q') await raw.del(key)
    await raw.close()
    await store.open()
    expect(await rawKeys()).toEqual(['F', 'S'])
  })
})
