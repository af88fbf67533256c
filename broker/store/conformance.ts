import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Clock, Timer } from '../contract/clock.js'
import { GatewayError } from '../contract/errors.js'
import type { StoreEvents } from '../contract/events.js'
import { Message, type MessageFields } from '../contract/message.js'
import type {
  Accept,
  QueueEntry,
  SessionRecord,
  Store,
  StoredSession,
  StoredWill,
  StoreLimits,
} from '../contract/store.js'
import type { Delivery, Subscription } from '../contract/subscription.js'
import { filterMatches } from '../contract/topic.js'

/**
 * What every store has to do: the statements of `contract/store.ts`, one test each. A store runs it from its own
 * test file and says what it can do.
 */
export interface StoreUnderTest {
  readonly name: string
  /** Whether what was written is there after `close` and `open` on a new object. */
  readonly survivesReopen: boolean
  /** A store over the same data each time it is called within a test, and over fresh data in the next. */
  create(limits: StoreLimits, events: StoreEvents, clock: Clock): Store
  /** Forgets the data of the test. */
  reset(): Promise<void>
}

export const roomy: StoreLimits = {
  queuedMessages: 1_000,
  queuedBytes: 1_000_000,
  whenFull: 'drop-oldest',
  retainedMessages: 10_000,
  retainedBytes: 10_000_000,
}

export const NEVER = 0xffff_ffff
export const keep = { cleanStart: false, expiryInterval: NEVER } as const
export const plain: Delivery = { qos: 1, retain: false, identifiers: [], sharedFilter: undefined }

export class ManualClock implements Clock {
  private time = 1_800_000_000_000
  private tasks: { readonly at: number; readonly task: () => void }[] = []

  now(): number {
    return this.time
  }

  schedule(delayMs: number, task: () => void): Timer {
    const entry = { at: this.time + delayMs, task }
    this.tasks.push(entry)
    return { cancel: () => void (this.tasks = this.tasks.filter((other) => other !== entry)) }
  }

  advance(milliseconds: number): void {
    this.time += milliseconds
    const due = this.tasks.filter(({ at }) => at <= this.time)
    this.tasks = this.tasks.filter(({ at }) => at > this.time)
    for (const { task } of due) task()
  }
}

/** Events as lines, for tests to look at. */
export class RecordedEvents implements StoreEvents {
  readonly lines: string[] = []
  /** Committed so far. */
  operations = 0
  opened(kind: string, { sessions, retained }: { sessions: number; retained: number }): void {
    this.lines.push(`opened ${kind} ${sessions} ${retained}`)
  }
  writeFailed(error: Error): void {
    this.lines.push(`writeFailed ${error instanceof GatewayError ? error.code : error.message}`)
  }
  writesRecovered(): void {
    this.lines.push('writesRecovered')
  }
  entryDamaged(what: string): void {
    this.lines.push(`entryDamaged ${what}`)
  }
  queueDropped(clientId: string, policy: string, count: number): void {
    this.lines.push(`queueDropped ${clientId} ${policy} ${count}`)
  }
  messagesExpired(clientId: string, count: number): void {
    this.lines.push(`messagesExpired ${clientId} ${count}`)
  }
  committed(operations: number): void {
    this.operations += operations
  }
}

export function message(fields: Partial<MessageFields> & { text?: string } = {}): Message {
  return new Message({
    topic: 't',
    qos: 1,
    retain: false,
    receivedAt: 1_800_000_000_000,
    payload: Buffer.from(fields.text ?? 'x'),
    ...fields,
  })
}

export function subscription(filter: string, fields: Partial<Subscription> = {}): Subscription {
  return {
    filter,
    share: undefined,
    qos: 1,
    noLocal: false,
    retainAsPublished: false,
    retainHandling: 0,
    identifier: undefined,
    ...fields,
  }
}

type Outcome = { readonly error: string | undefined; readonly sequences: readonly (number | undefined)[] }

export function accept(store: Store, accepted: Partial<Accept> & { message: Message }): Promise<Outcome> {
  const full = { recipients: [], retain: false, incoming: undefined, ...accepted }
  return new Promise((resolve) =>
    store.accept(full, (error, sequences) => resolve({ error: error?.code, sequences })),
  )
}

export function to(...clientIds: string[]): Accept['recipients'] {
  return clientIds.map((clientId) => ({ clientId, delivery: plain }))
}

export function settle(session: StoredSession, sequence: number): Promise<string | undefined> {
  return new Promise((resolve) => session.settle(sequence, (error) => resolve(error?.code)))
}

export function release(session: StoredSession, sequence: number): Promise<string | undefined> {
  return new Promise((resolve) => session.release(sequence, (error) => resolve(error?.code)))
}

export function forget(session: StoredSession, packetId: number): Promise<string | undefined> {
  return new Promise((resolve) => session.forgetIncoming(packetId, (error) => resolve(error?.code)))
}

export function enqueue(session: StoredSession, queued: Message, delivery = plain): Promise<Outcome> {
  return new Promise((resolve) =>
    session.enqueue(queued, delivery, (error, sequence) =>
      resolve({ error: error?.code, sequences: [sequence] }),
    ),
  )
}

export function readAll(session: StoredSession, after = 0): Promise<readonly QueueEntry[]> {
  return session.read(after, { messages: 100_000, bytes: Infinity })
}

/** `1:one 2:two`; a released entry is `3:`. */
export async function queueText(session: StoredSession): Promise<string> {
  const entries = await readAll(session)
  return entries
    .map(({ sequence, message: queued }) => `${sequence}:${queued?.payload.toString() ?? ''}`)
    .join(' ')
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

export async function retainedText(store: Store, filter: string): Promise<string[]> {
  const chunks = await collect(store.retained(filter))
  return chunks
    .flat()
    .map((retained) => `${retained.topic}=${retained.payload.toString()}`)
    .sort()
}

const codeOf = (promise: Promise<unknown>): Promise<string | undefined> =>
  promise.then(
    () => undefined,
    (error: unknown) => (error instanceof GatewayError ? error.code : String(error)),
  )

/** Client identifiers that trip over prototypes, separators, terminators and prefixes. */
const ODD_IDS = ['constructor', '__proto__', 'a\0b', 'a', 'a\0', 'ab', '😀', ' ', 'x'.repeat(65_535)]

export function storeConformance(subject: StoreUnderTest): void {
  describe(`${subject.name} as a store`, () => {
    let clock: ManualClock
    let events: RecordedEvents
    let store: Store

    const make = (limits: Partial<StoreLimits> = {}): Store =>
      subject.create({ ...roomy, ...limits }, events, clock)

    const useLimits = async (limits: Partial<StoreLimits>): Promise<void> => {
      await store.close()
      await subject.reset()
      store = make(limits)
      await store.open()
      events.lines.length = 0
    }

    const reopen = async (limits: Partial<StoreLimits> = {}): Promise<void> => {
      await store.close()
      store = make(limits)
      await store.open()
    }

    beforeEach(async () => {
      clock = new ManualClock()
      events = new RecordedEvents()
      store = make()
      await store.open()
    })

    afterEach(async () => {
      await store.close()
      await subject.reset()
    })

    describe('life', () => {
      it('is ready while it is open, and fails with STORE_CLOSED before and after', async () => {
        expect(store.readiness()).toEqual({ ready: true })
        const session = await store.openSession('c', keep)
        await store.close()
        expect(store.readiness().ready).toBe(false)
        for (const subjectStore of [store, make()]) {
          expect(await codeOf(subjectStore.openSession('c', keep))).toBe('STORE_CLOSED')
          expect(await codeOf(subjectStore.discardSession('c'))).toBe('STORE_CLOSED')
          expect(await codeOf(collect(subjectStore.sessions()))).toBe('STORE_CLOSED')
          expect(await codeOf(collect(subjectStore.retained('#')))).toBe('STORE_CLOSED')
          expect(await codeOf(collect(subjectStore.wills()))).toBe('STORE_CLOSED')
          expect(await codeOf(subjectStore.deleteWill('c'))).toBe('STORE_CLOSED')
          expect((await accept(subjectStore, { message: message() })).error).toBe('STORE_CLOSED')
          const retained = { message: message({ qos: 0 }), retain: true }
          expect((await accept(subjectStore, retained)).error).toBe('STORE_CLOSED')
        }
        expect(await codeOf(session.subscribe([subscription('a')]))).toBe('STORE_CLOSED')
        expect(await settle(session, 1)).toBe('STORE_CLOSED')
        expect(await codeOf(readAll(session))).toBe('STORE_CLOSED')
      })

      it('may be closed twice', async () => {
        await store.close()
        await store.close()
      })

      it('writes what is waiting before it is closed', async () => {
        await store.openSession('c', keep)
        const accepted = accept(store, { message: message(), recipients: to('c') })
        await store.close()
        expect(await accepted).toEqual({ error: undefined, sequences: [1] })
      })

      it('says how much it found', () => {
        expect(events.lines).toEqual([`opened ${store.kind} 0 0`])
      })
    })

    describe('sessions', () => {
      it('are absent the first time and present the next', async () => {
        expect((await store.openSession('c', keep)).present).toBe(false)
        expect((await store.openSession('c', keep)).present).toBe(true)
      })

      it('start empty', async () => {
        const session = await store.openSession('c', keep)
        expect(session).toMatchObject({ clientId: 'c', subscriptions: [], settledUpTo: 0, queued: 0 })
        expect([...session.incoming]).toEqual([])
        expect(await readAll(session)).toEqual([])
      })

      it('are discarded by cleanStart with all that belongs to them [MQTT-3.1.2-4]', async () => {
        const first = await store.openSession('c', keep)
        await first.subscribe([subscription('a')])
        await accept(store, {
          message: message({ qos: 2 }),
          recipients: to('c'),
          incoming: { session: first, packetId: 7 },
        })
        const session = await store.openSession('c', { ...keep, cleanStart: true })
        expect(session).toMatchObject({ present: false, subscriptions: [], queued: 0, settledUpTo: 0 })
        expect([...session.incoming]).toEqual([])
        expect((await accept(store, { message: message(), recipients: to('c') })).sequences).toEqual([1])
      })

      it('are discarded whoever has them open', async () => {
        const session = await store.openSession('c', keep)
        await accept(store, { message: message(), recipients: to('c') })
        await store.discardSession('c')
        expect(await settle(session, 1)).toBe('SESSION_TAKEN')
        expect(await readAll(session)).toEqual([])
        expect((await accept(store, { message: message(), recipients: to('c') })).sequences).toEqual([
          undefined,
        ])
        expect(await collect(store.sessions())).toEqual([])
        expect((await store.openSession('c', keep)).present).toBe(false)
      })

      it('need not be there to be discarded', async () => {
        await store.discardSession('nobody')
      })

      it('that have expired are not found any more', async () => {
        const session = await store.openSession('c', { cleanStart: false, expiryInterval: 10 })
        await session.subscribe([subscription('a')])
        await session.close(clock.now() + 10_000)
        clock.advance(9_999)
        const again = await store.openSession('c', { cleanStart: false, expiryInterval: 10 })
        expect(again.present).toBe(true)
        await again.close(clock.now() + 10_000)
        clock.advance(10_000)
        const late = await store.openSession('c', keep)
        expect(late).toMatchObject({ present: false, subscriptions: [] })
      })

      it('are listed once each, with what is known of them', async () => {
        const open = await store.openSession('open', { cleanStart: false, expiryInterval: 10 })
        const closed = await store.openSession('closed', { cleanStart: false, expiryInterval: 10 })
        const never = await store.openSession('never', keep)
        await open.subscribe([subscription('a'), subscription('b/+', { qos: 2, identifier: 5 })])
        await closed.setExpiryInterval(20)
        await closed.close(clock.now() + 20_000)
        await never.close(undefined)
        const records = new Map((await collect(store.sessions())).map((r) => [r.clientId, r]))
        expect([...records.keys()].sort()).toEqual(['closed', 'never', 'open'])
        expect(records.get('open')).toMatchObject({ expiryInterval: 10, expiresAt: undefined })
        expect(filtersOf(records.get('open'))).toEqual(['a', 'b/+'])
        expect(records.get('closed')).toMatchObject({ expiryInterval: 20, expiresAt: clock.now() + 20_000 })
        expect(records.get('never')).toMatchObject({ expiryInterval: NEVER, expiresAt: undefined })
      })

      it('take the expiry interval of the connection that opens them', async () => {
        await store.openSession('c', { cleanStart: false, expiryInterval: 10 })
        await store.openSession('c', { cleanStart: false, expiryInterval: 30 })
        expect(await collect(store.sessions())).toMatchObject([{ expiryInterval: 30, expiresAt: undefined }])
      })

      it('have identifiers of any content', async () => {
        for (const id of ODD_IDS) {
          const session = await store.openSession(id, keep)
          await session.subscribe([subscription(`for/${ODD_IDS.indexOf(id)}`)])
          await accept(store, { message: message({ text: String(ODD_IDS.indexOf(id)) }), recipients: to(id) })
        }
        await store.discardSession('a')
        for (const id of ODD_IDS) {
          const session = await store.openSession(id, keep)
          const index = ODD_IDS.indexOf(id)
          expect(session.present).toBe(id !== 'a')
          expect(await queueText(session)).toBe(id === 'a' ? '' : `1:${index}`)
          expect(session.subscriptions.map(({ filter }) => filter)).toEqual(
            id === 'a' ? [] : [`for/${index}`],
          )
        }
      })
    })

    describe('ownership', () => {
      it('passes to the newest handle: writes of earlier ones fail with SESSION_TAKEN', async () => {
        const old = await store.openSession('c', keep)
        await accept(store, { message: message(), recipients: to('c') })
        const opening = store.openSession('c', keep)
        expect(await settle(old, 1)).toBe('SESSION_TAKEN')
        const session = await opening
        expect(await settle(old, 1)).toBe('SESSION_TAKEN')
        expect(await release(old, 1)).toBe('SESSION_TAKEN')
        expect(await forget(old, 1)).toBe('SESSION_TAKEN')
        expect((await enqueue(old, message())).error).toBe('SESSION_TAKEN')
        expect(await codeOf(old.subscribe([subscription('a')]))).toBe('SESSION_TAKEN')
        expect(await codeOf(old.unsubscribe([subscription('a')]))).toBe('SESSION_TAKEN')
        expect(await codeOf(old.setExpiryInterval(1))).toBe('SESSION_TAKEN')
        expect(await codeOf(old.close(undefined))).toBe('SESSION_TAKEN')
        expect(await queueText(session)).toBe('1:x')
        expect(await collect(store.sessions())).toMatchObject([{ subscriptions: [], expiryInterval: NEVER }])
      })

      it('is checked for the origin of a message: nothing of it is accepted', async () => {
        const old = await store.openSession('c', keep)
        const session = await store.openSession('c', keep)
        const outcome = await accept(store, {
          message: message({ qos: 2 }),
          recipients: to('c'),
          retain: true,
          incoming: { session: old, packetId: 1 },
        })
        expect(outcome.error).toBe('SESSION_TAKEN')
        expect([await queueText(session), [...session.incoming], store.retainedCount]).toEqual(['', [], 0])
      })

      it('lets writes called before the takeover through', async () => {
        const old = await store.openSession('c', keep)
        await accept(store, { message: message(), recipients: to('c') })
        const [settled, session] = await Promise.all([settle(old, 1), store.openSession('c', keep)])
        expect(settled).toBeUndefined()
        expect(session).toMatchObject({ queued: 0, settledUpTo: 1 })
      })
    })

    describe('subscriptions', () => {
      const all = [
        subscription('a/+', { qos: 2, noLocal: true, retainAsPublished: true, retainHandling: 2 }),
        subscription('a/+', { share: 'group', identifier: 268_435_455 }),
        subscription('/', { qos: 0, retainHandling: 1 }),
        subscription('#'),
      ]

      it('are kept whole, and told apart by filter and share', async () => {
        const session = await store.openSession('c', keep)
        await session.subscribe(all)
        expect(sorted(session.subscriptions)).toEqual(sorted(all))
        expect(sorted((await store.openSession('c', keep)).subscriptions)).toEqual(sorted(all))
        const [record] = await collect(store.sessions())
        expect(sorted(record?.subscriptions ?? [])).toEqual(sorted(all))
      })

      it('replace those of the same filter and share', async () => {
        const session = await store.openSession('c', keep)
        await session.subscribe([subscription('a', { qos: 0 })])
        await session.subscribe([subscription('a', { qos: 2, identifier: 3 })])
        expect(session.subscriptions).toEqual([subscription('a', { qos: 2, identifier: 3 })])
      })

      it('are removed by filter and share', async () => {
        const session = await store.openSession('c', keep)
        await session.subscribe(all)
        await session.unsubscribe([
          { filter: 'a/+', share: 'group' },
          { filter: 'never/there', share: undefined },
        ])
        const left = all.filter(({ share }) => share === undefined)
        expect(sorted(session.subscriptions)).toEqual(sorted(left))
        expect(sorted((await store.openSession('c', keep)).subscriptions)).toEqual(sorted(left))
      })
    })

    describe('accept', () => {
      it('queues for each recipient and returns its sequence numbers, in their order', async () => {
        const a = await store.openSession('a', keep)
        const b = await store.openSession('b', keep)
        const accepted: Outcome[] = []
        accepted.push(await accept(store, { message: message({ text: 'one' }), recipients: to('a') }))
        accepted.push(await accept(store, { message: message({ text: 'two' }), recipients: to('b', 'a') }))
        expect(accepted).toEqual([
          { error: undefined, sequences: [1] },
          { error: undefined, sequences: [1, 2] },
        ])
        expect([await queueText(a), await queueText(b)]).toEqual(['1:one 2:two', '1:two'])
        expect([a.queued, b.queued]).toEqual([2, 1])
      })

      it('passes over sessions that do not exist', async () => {
        await store.openSession('a', keep)
        const { error, sequences } = await accept(store, {
          message: message(),
          recipients: to('nobody', 'a', '__proto__'),
        })
        expect([error, sequences]).toEqual([undefined, [undefined, 1, undefined]])
      })

      it('is done when there is nobody to keep the message for', async () => {
        expect(await accept(store, { message: message() })).toEqual({ error: undefined, sequences: [] })
      })

      it('keeps the whole message and each delivery', async () => {
        const a = await store.openSession('a', keep)
        const b = await store.openSession('b', keep)
        const full = fullMessage(clock.now())
        const forA = { qos: 2, retain: true, identifiers: [1, 268_435_455], sharedFilter: undefined } as const
        const forB = { qos: 1, retain: false, identifiers: [], sharedFilter: '$share/g/#' } as const
        await accept(store, {
          message: full,
          recipients: [
            { clientId: 'a', delivery: forA },
            { clientId: 'b', delivery: forB },
          ],
        })
        await accept(store, { message: full, recipients: [{ clientId: 'b', delivery: forB }] })
        expect((await readAll(a)).map(comparable)).toEqual([
          { sequence: 1, delivery: forA, ...fieldsOf(full) },
        ])
        expect((await readAll(b)).map(comparable)).toEqual([
          { sequence: 1, delivery: forB, ...fieldsOf(full) },
          { sequence: 2, delivery: forB, ...fieldsOf(full) },
        ])
      })

      it('owns what it keeps: the read buffer may be used again', async () => {
        const session = await store.openSession('c', keep)
        const buffer = Buffer.from('before the write|retained')
        const view = (from: number, until: number): Buffer => buffer.subarray(from, until)
        const done = [
          accept(store, { message: message({ payload: view(0, 6) }), recipients: to('c') }),
          accept(store, { message: message({ payload: view(7, 10) }), recipients: to('c', 'nobody') }),
          accept(store, { message: message({ payload: view(17, 25), topic: 'r1' }), retain: true }),
          accept(store, { message: message({ payload: view(17, 25), topic: 'r0', qos: 0 }), retain: true }),
          enqueue(session, message({ payload: view(11, 16) })),
          store.putWill('c', {
            message: message({ payload: view(0, 6) }),
            delayInterval: 0,
            dueAt: undefined,
          }),
        ]
        buffer.fill('!')
        await Promise.all(done)
        expect(await queueText(session)).toBe('1:before 2:the 3:write')
        expect(await retainedText(store, '#')).toEqual(['r0=retained', 'r1=retained'])
        expect((await collect(store.wills()))[0]?.[1].message.payload.toString()).toBe('before')
      })

      it('is all or nothing: without room for the retained message nothing is queued', async () => {
        await useLimits({ retainedMessages: 1 })
        const session = await store.openSession('c', keep)
        await accept(store, { message: message({ topic: 'first' }), retain: true })
        const { error } = await accept(store, {
          message: message({ topic: 'second', qos: 2 }),
          retain: true,
          recipients: to('c'),
          incoming: { session, packetId: 3 },
        })
        expect(error).toBe('QUOTA_EXCEEDED')
        expect([session.queued, await queueText(session), [...session.incoming]]).toEqual([0, '', []])
        expect([...(await store.openSession('c', keep)).incoming]).toEqual([])
      })

      it('remembers the packet identifier of a QoS 2 publish until it is forgotten', async () => {
        const session = await store.openSession('c', keep)
        for (const packetId of [1, 65_535])
          await accept(store, { message: message({ qos: 2 }), incoming: { session, packetId } })
        expect([...session.incoming].sort()).toEqual([1, 65_535])
        expect([...(await store.openSession('c', keep)).incoming].sort()).toEqual([1, 65_535])
        const again = await store.openSession('c', keep)
        expect(await forget(again, 1)).toBeUndefined()
        expect(await forget(again, 1)).toBeUndefined()
        expect([...again.incoming]).toEqual([65_535])
        expect([...(await store.openSession('c', keep)).incoming]).toEqual([65_535])
      })

      it('calls back in the order of the calls, whatever their kind', async () => {
        const session = await store.openSession('c', keep)
        await accept(store, { message: message(), recipients: to('c') })
        const order: string[] = []
        const note = (name: string) => (): void => void order.push(name)
        const retained = (topic: string, qos: 0 | 1): Accept => ({
          message: message({ topic, qos }),
          recipients: [],
          retain: true,
          incoming: undefined,
        })
        store.accept({ ...retained('a', 1), recipients: to('c') }, note('accept'))
        store.accept(retained('b', 0), note('retained at QoS 0'))
        session.settle(1, note('settle'))
        store.accept({ ...retained('a', 1), retain: false }, note('nothing to keep'))
        session.enqueue(message(), plain, note('enqueue'))
        session.release(2, note('release'))
        const later = [
          session.subscribe([subscription('a')]).then(note('subscribe')),
          store.putWill('c', { message: message(), delayInterval: 0, dueAt: undefined }).then(note('will')),
        ]
        session.forgetIncoming(1, note('forget'))
        store.accept(retained('c', 1), note('last'))
        await Promise.all(later)
        await accept(store, { message: message(), recipients: to('c') })
        const called = order.filter((name) => name !== 'subscribe' && name !== 'will')
        expect(called).toEqual([
          'accept',
          'retained at QoS 0',
          'settle',
          'nothing to keep',
          'enqueue',
          'release',
          'forget',
          'last',
        ])
        expect(order.indexOf('subscribe')).toBeLessThan(order.indexOf('will'))
      })
    })

    describe('queues', () => {
      it('number entries from 1 without gaps, whatever was settled', async () => {
        const session = await store.openSession('c', keep)
        for (let i = 1; i <= 100; i++) {
          const { sequences } = await accept(store, { message: message(), recipients: to('c') })
          expect(sequences).toEqual([i])
          await settle(session, i)
        }
        expect((await enqueue(session, message())).sequences).toEqual([101])
        expect(session).toMatchObject({ queued: 1, settledUpTo: 100 })
      })

      it('are settled in any order, and more than once', async () => {
        const session = await store.openSession('c', keep)
        for (let i = 1; i <= 5; i++) await accept(store, { message: message(), recipients: to('c') })
        for (const sequence of [2, 4, 2, 1, 99]) expect(await settle(session, sequence)).toBeUndefined()
        expect(await queueText(session)).toBe('3:x 5:x')
        expect(session).toMatchObject({ queued: 2, settledUpTo: 2 })
        const again = await store.openSession('c', keep)
        expect(again).toMatchObject({ queued: 2, settledUpTo: 2 })
      })

      it('are read from a cursor, so many and so many bytes at a time', async () => {
        const session = await store.openSession('c', keep)
        for (let i = 1; i <= 5; i++)
          await accept(store, { message: message({ text: '1234' }), recipients: to('c') })
        const read = async (after: number, messages: number, bytes: number): Promise<number[]> =>
          (await session.read(after, { messages, bytes })).map(({ sequence }) => sequence)
        expect(await read(0, 2, 100)).toEqual([1, 2])
        expect(await read(2, 100, 100)).toEqual([3, 4, 5])
        expect(await read(0, 100, 8)).toEqual([1, 2])
        expect(await read(0, 100, 11)).toEqual([1, 2])
        expect(await read(0, 100, 1)).toEqual([1])
        expect(await read(5, 100, 100)).toEqual([])
        expect(await read(0, 0, 100)).toEqual([])
      })

      it('keep their order over thousands of entries', async () => {
        await useLimits({ queuedMessages: 5_000 })
        const session = await store.openSession('c', keep)
        const accepted: Promise<Outcome>[] = []
        for (let i = 1; i <= 3_000; i++)
          accepted.push(accept(store, { message: message({ text: String(i) }), recipients: to('c') }))
        const sequences = (await Promise.all(accepted)).map((outcome) => outcome.sequences[0])
        expect(sequences).toEqual(Array.from({ length: 3_000 }, (_, i) => i + 1))
        const entries = await readAll(session)
        expect(entries.map((entry) => entry.message?.payload.toString())).toEqual(
          Array.from({ length: 3_000 }, (_, i) => String(i + 1)),
        )
      })

      it('keep a released entry without its message', async () => {
        const session = await store.openSession('c', keep)
        await accept(store, { message: message({ qos: 2 }), recipients: to('c', 'nobody') })
        await accept(store, { message: message({ qos: 2 }), recipients: to('c') })
        expect(await release(session, 1)).toBeUndefined()
        expect(await release(session, 1)).toBeUndefined()
        expect(await release(session, 99)).toBeUndefined()
        const [first, second] = await readAll(session)
        expect(first).toEqual({ sequence: 1, message: undefined, delivery: { ...plain, qos: 2 } })
        expect(second?.message?.payload.toString()).toBe('x')
        expect(await settle(session, 1)).toBeUndefined()
        expect(await queueText(session)).toBe('2:x')
      })

      it('see every write that was called before a read', async () => {
        const session = await store.openSession('c', keep)
        void accept(store, { message: message({ text: 'a' }), recipients: to('c') })
        void accept(store, { message: message({ text: 'b' }), recipients: to('c') })
        void settle(session, 1)
        expect(await queueText(session)).toBe('2:b')
      })

      it('hand out no expired message, and remove it [MQTT-3.3.2-5]', async () => {
        const session = await store.openSession('c', keep)
        const soon = { expiresAt: clock.now() + 1_000 }
        await accept(store, { message: message({ ...soon, text: 'a' }), recipients: to('c') })
        await accept(store, { message: message({ text: 'b' }), recipients: to('c') })
        await accept(store, { message: message({ ...soon, text: 'c' }), recipients: to('c', 'nobody') })
        expect(await queueText(session)).toBe('1:a 2:b 3:c')
        clock.advance(1_000)
        events.lines.length = 0
        expect(await queueText(session)).toBe('2:b')
        expect(await queueText(session)).toBe('2:b')
        // The removal itself may come behind; it is done before what is called after it.
        await accept(store, { message: message(), recipients: to('c') })
        expect(session.queued).toBe(2)
        expect(events.lines).toEqual(['messagesExpired c 2'])
      })

      it('hand out what may have been sent before it expired [MQTT-4.3.3-7]', async () => {
        const session = await store.openSession('c', keep)
        for (const text of ['a', 'b'])
          await accept(store, { message: message({ expiresAt: clock.now() + 1_000, text }), recipients: to('c') })
        clock.advance(1_000)
        const entries = await session.read(0, { messages: 10, bytes: 1_000, startedUpTo: 1 })
        expect(entries.map(({ sequence }) => sequence)).toEqual([1])
      })

      it('drop the oldest where the policy says so, and count it', async () => {
        await useLimits({ queuedMessages: 2, whenFull: 'drop-oldest' })
        const session = await store.openSession('c', keep)
        for (const text of ['a', 'b', 'c'])
          await accept(store, { message: message({ text }), recipients: to('c') })
        expect(await queueText(session)).toBe('2:b 3:c')
        expect(session).toMatchObject({ queued: 2, settledUpTo: 1, queuedUpTo: 3 })
        expect(events.lines).toEqual(['queueDropped c drop-oldest 1'])
      })

      it('refuse the new where the policy says so, and count it', async () => {
        await useLimits({ queuedMessages: 2, whenFull: 'refuse-new' })
        const session = await store.openSession('c', keep)
        const sequences = []
        for (const text of ['a', 'b', 'c'])
          sequences.push(
            ...(await accept(store, { message: message({ text }), recipients: to('c') })).sequences,
          )
        expect(sequences).toEqual([1, 2, undefined])
        expect(await enqueue(session, message())).toEqual({ error: undefined, sequences: [undefined] })
        expect(await queueText(session)).toBe('1:a 2:b')
        expect(events.lines).toEqual(['queueDropped c refuse-new 1', 'queueDropped c refuse-new 1'])
        await settle(session, 1)
        expect((await accept(store, { message: message(), recipients: to('c') })).sequences).toEqual([3])
      })

      it('are bounded in bytes as well', async () => {
        await useLimits({ queuedBytes: 10, whenFull: 'drop-oldest' })
        const session = await store.openSession('c', keep)
        for (const text of ['aaaa', 'bbbb', 'cccccc'])
          await accept(store, { message: message({ text }), recipients: to('c') })
        expect(await queueText(session)).toBe('2:bbbb 3:cccccc')
        const { sequences } = await accept(store, {
          message: message({ text: 'd'.repeat(11) }),
          recipients: to('c'),
        })
        expect(sequences).toEqual([undefined])
        expect(await queueText(session)).toBe('2:bbbb 3:cccccc')
        expect(events.lines).toEqual(['queueDropped c drop-oldest 1', 'queueDropped c drop-oldest 1'])
      })

      it('bound each recipient for itself', async () => {
        await useLimits({ queuedMessages: 1, whenFull: 'refuse-new' })
        await store.openSession('a', keep)
        await store.openSession('b', keep)
        await accept(store, { message: message(), recipients: to('a') })
        const { sequences } = await accept(store, { message: message(), recipients: to('a', 'b') })
        expect(sequences).toEqual([undefined, 1])
      })

      it('make room from what has expired before anything else gives way', async () => {
        await useLimits({ queuedMessages: 1, whenFull: 'refuse-new' })
        const session = await store.openSession('c', keep)
        await accept(store, { message: message({ expiresAt: clock.now() + 1 }), recipients: to('c') })
        clock.advance(1)
        expect((await accept(store, { message: message(), recipients: to('c') })).sequences).toEqual([2])
        expect(session.queued).toBe(1)
        expect(events.lines).toEqual(['messagesExpired c 1'])
      })

      it('never drop a released entry: its PUBREL is still owed', async () => {
        await useLimits({ queuedMessages: 2, whenFull: 'drop-oldest' })
        const session = await store.openSession('c', keep)
        await accept(store, { message: message({ text: 'a' }), recipients: to('c') })
        await release(session, 1)
        for (const text of ['b', 'c', 'd'])
          await accept(store, { message: message({ text }), recipients: to('c') })
        expect(await queueText(session)).toBe('1: 4:d')
        await release(session, 4)
        expect((await accept(store, { message: message(), recipients: to('c') })).sequences).toEqual([
          undefined,
        ])
      })
    })

    describe('retained messages', () => {
      it('are kept by topic, replaced, and cleared by an empty payload', async () => {
        for (const qos of [0, 1] as const) {
          await accept(store, { message: message({ topic: 'a', text: '1', qos }), retain: true })
          await accept(store, { message: message({ topic: 'b', text: '1', qos }), retain: true })
          await accept(store, { message: message({ topic: 'a', text: '2', qos }), retain: true })
          expect(await retainedText(store, '#')).toEqual(['a=2', 'b=1'])
          expect(store.retainedCount).toBe(2)
          for (const topic of ['a', 'b', 'c'])
            await accept(store, { message: message({ topic, text: '', qos }), retain: true })
          expect(await retainedText(store, '#')).toEqual([])
          expect(store.retainedCount).toBe(0)
        }
      })

      it('keep the whole message', async () => {
        const full = fullMessage(clock.now())
        await accept(store, { message: full, retain: true })
        const [chunk] = await collect(store.retained(full.topic))
        expect(chunk?.map((retained) => comparable({ message: retained }))).toEqual([fieldsOf(full)])
      })

      it('of QoS 0 are visible at once', async () => {
        store.accept(
          { message: message({ qos: 0, text: 'now' }), recipients: [], retain: true, incoming: undefined },
          () => {},
        )
        expect(store.retainedCount).toBe(1)
        expect(await retainedText(store, 't')).toEqual(['t=now'])
      })

      it('end with the last one published, whatever its QoS', async () => {
        const texts = Array.from({ length: 40 }, (_, i) => String(i))
        const done = texts.map((text, i) =>
          accept(store, { message: message({ text, qos: ((i * 7) % 3) as 0 | 1 | 2 }), retain: true }),
        )
        await Promise.all(done)
        expect(await retainedText(store, '#')).toEqual(['t=39'])
      })

      it('come in chunks of at most 256', async () => {
        await Promise.all(
          Array.from({ length: 600 }, (_, i) =>
            accept(store, { message: message({ topic: `a/${i}` }), retain: true }),
          ),
        )
        const chunks = await collect(store.retained('a/+'))
        expect(chunks.every((chunk) => chunk.length > 0 && chunk.length <= 256)).toBe(true)
        expect(new Set(chunks.flat().map(({ topic }) => topic)).size).toBe(600)
      })

      it('that have expired are not handed out and do not count', async () => {
        await accept(store, { message: message({ expiresAt: clock.now() + 1 }), retain: true })
        clock.advance(1)
        expect(await retainedText(store, '#')).toEqual([])
        expect(store.retainedCount).toBe(0)
      })

      it('are bounded in number; replacing and clearing stay possible', async () => {
        await useLimits({ retainedMessages: 2 })
        const put = async (topic: string, text: string, qos: 0 | 1 = 1): Promise<string | undefined> =>
          (await accept(store, { message: message({ topic, text, qos }), retain: true })).error
        expect([await put('a', '1'), await put('b', '1', 0)]).toEqual([undefined, undefined])
        expect([await put('c', '1'), await put('c', '1', 0)]).toEqual(['QUOTA_EXCEEDED', 'QUOTA_EXCEEDED'])
        expect([await put('a', '2'), await put('b', '2', 0)]).toEqual([undefined, undefined])
        const together = await Promise.all([put('d', '1'), put('a', ''), put('d', '2'), put('e', '1')])
        expect(together).toEqual(['QUOTA_EXCEEDED', undefined, undefined, 'QUOTA_EXCEEDED'])
        expect(await retainedText(store, '#')).toEqual(['b=2', 'd=2'])
      })

      it('are bounded in bytes; what is replaced by something smaller always is', async () => {
        await useLimits({ retainedBytes: 10 })
        const put = async (topic: string, size: number): Promise<string | undefined> =>
          (await accept(store, { message: message({ topic, text: 'x'.repeat(size) }), retain: true })).error
        expect([await put('a', 6), await put('b', 5), await put('b', 4)]).toEqual([
          undefined,
          'QUOTA_EXCEEDED',
          undefined,
        ])
        expect([await put('a', 7), await put('a', 6), await put('a', 1), await put('b', 9)]).toEqual([
          'QUOTA_EXCEEDED',
          undefined,
          undefined,
          undefined,
        ])
      })

      it('that have expired make room for others', async () => {
        await useLimits({ retainedMessages: 1 })
        for (const qos of [0, 1] as const) {
          const soon = { topic: `soon${qos}`, expiresAt: clock.now() + 1, qos }
          expect((await accept(store, { message: message(soon), retain: true })).error).toBeUndefined()
          clock.advance(1_001)
          const other = message({ topic: 'other', qos })
          expect((await accept(store, { message: other, retain: true })).error).toBeUndefined()
          expect(await retainedText(store, '#')).toEqual(['other=x'])
          await accept(store, { message: message({ topic: 'other', text: '', qos }), retain: true })
        }
      })

      it('match as the topic algebra says', async () => {
        const level = fc.constantFrom('', 'a', 'b', '$SYS', 'constructor', '__proto__', '$')
        const part = fc.constantFrom('', 'a', 'b', '+', '+', '$SYS', '__proto__', '$')
        const topics = fc.array(level, { minLength: 1, maxLength: 4 }).map((levels) => levels.join('/'))
        const filters = fc
          .tuple(fc.array(part, { maxLength: 4 }), fc.boolean())
          .map(([parts, open]) => [...parts, ...(open ? ['#'] : [])].join('/'))
        const property = fc.asyncProperty(
          fc.uniqueArray(topics.filter(Boolean), { maxLength: 12 }),
          fc.uniqueArray(topics.filter(Boolean), { maxLength: 4 }),
          fc.array(filters.filter(Boolean), { minLength: 1, maxLength: 6 }),
          async (kept, cleared, wanted) => {
            for (const topic of kept)
              await accept(store, { message: message({ topic, qos: 0 }), retain: true })
            const clear = (topic: string): Promise<Outcome> =>
              accept(store, { message: message({ topic, text: '', qos: 0 }), retain: true })
            for (const topic of cleared) await clear(topic)
            const left = kept.filter((topic) => !cleared.includes(topic))
            expect(store.retainedCount).toBe(left.length)
            for (const filter of wanted)
              expect([filter, await retainedText(store, filter)]).toEqual([
                filter,
                left
                  .filter((topic) => filterMatches(filter, topic))
                  .map((topic) => `${topic}=x`)
                  .sort(),
              ])
            for (const topic of left) await clear(topic)
          },
        )
        await fc.assert(property, { numRuns: 300 })
      })
    })

    describe('wills', () => {
      const will = (text: string, fields: Partial<StoredWill> = {}): StoredWill => ({
        message: message({ text, topic: 'will', qos: 2, retain: true }),
        delayInterval: 30,
        dueAt: undefined,
        ...fields,
      })
      const listed = async (): Promise<string[]> =>
        (await collect(store.wills()))
          .map(
            ([id, stored]) =>
              `${id}=${stored.message.payload.toString()},${stored.delayInterval},${stored.dueAt}`,
          )
          .sort()

      it('are kept, replaced and deleted by client identifier', async () => {
        for (const id of ODD_IDS) await store.putWill(id, will('1'))
        await store.putWill('a', will('2', { delayInterval: 5, dueAt: 1_800_000_000_500 }))
        await store.deleteWill('ab')
        await store.deleteWill('nobody')
        const expected = ODD_IDS.filter((id) => id !== 'ab').map((id) =>
          id === 'a' ? 'a=2,5,1800000000500' : `${id}=1,30,undefined`,
        )
        expect(await listed()).toEqual(expected.sort())
      })

      it('belong to no session', async () => {
        await store.putWill('c', will('1'))
        await store.openSession('c', { ...keep, cleanStart: true })
        await store.discardSession('c')
        expect(await listed()).toEqual(['c=1,30,undefined'])
      })
    })

    describe.runIf(subject.survivesReopen)('after it was opened again', () => {
      it('has the sessions, their subscriptions and packet identifiers', async () => {
        const session = await store.openSession('c', { cleanStart: false, expiryInterval: 60 })
        await session.subscribe([subscription('a'), subscription('b', { share: 'g', qos: 2 })])
        await session.unsubscribe([{ filter: 'a', share: undefined }])
        await accept(store, { message: message({ qos: 2 }), incoming: { session, packetId: 9 } })
        await session.close(clock.now() + 60_000)
        await reopen()
        expect(await collect(store.sessions())).toEqual([
          {
            clientId: 'c',
            subscriptions: [subscription('b', { share: 'g', qos: 2 })],
            expiryInterval: 60,
            expiresAt: clock.now() + 60_000,
          },
        ])
        const again = await store.openSession('c', keep)
        expect(again).toMatchObject({
          present: true,
          subscriptions: [subscription('b', { share: 'g', qos: 2 })],
        })
        expect([...again.incoming]).toEqual([9])
      })

      it('goes on with the queues where they were', async () => {
        let session = await store.openSession('c', keep)
        for (const text of ['a', 'b', 'c', 'd', 'e'])
          await accept(store, { message: message({ text }), recipients: to('c', 'nobody') })
        await settle(session, 1)
        await settle(session, 3)
        await release(session, 4)
        for (let round = 0; round < 2; round++) {
          await reopen()
          session = await store.openSession('c', keep)
          expect(session).toMatchObject({ queued: 3, settledUpTo: 1 })
          expect(await queueText(session)).toBe('2:b 4: 5:e')
        }
        expect((await enqueue(session, message({ text: 'f' }))).sequences).toEqual([6])
        expect(await queueText(session)).toBe('2:b 4: 5:e 6:f')
      })

      it('never gives out a sequence number twice', async () => {
        let session = await store.openSession('c', keep)
        let last = 0
        for (let round = 0; round < 4; round++) {
          for (let i = 0; i < 3; i++) {
            const [sequence] = (await accept(store, { message: message(), recipients: to('c') })).sequences
            expect(sequence).toBe(++last)
          }
          for (let i = round % 2; i < 3; i++) await settle(session, last - 2 + i)
          await reopen()
          session = await store.openSession('c', keep)
        }
        expect(session.queued).toBe(2)
      })

      it('keeps the bounds: what was stored counts', async () => {
        await useLimits({ queuedMessages: 2, queuedBytes: 8, whenFull: 'refuse-new', retainedMessages: 1 })
        await store.openSession('c', keep)
        await accept(store, { message: message({ text: '12345' }), recipients: to('c', 'nobody') })
        await accept(store, { message: message({ topic: 'r' }), retain: true })
        await reopen({ queuedMessages: 2, queuedBytes: 8, whenFull: 'refuse-new', retainedMessages: 1 })
        const refused = await accept(store, { message: message({ text: '1234' }), recipients: to('c') })
        expect(refused.sequences).toEqual([undefined])
        expect((await accept(store, { message: message({ topic: 's' }), retain: true })).error).toBe(
          'QUOTA_EXCEEDED',
        )
      })

      it('has the retained messages and the wills', async () => {
        const full = fullMessage(clock.now())
        await accept(store, { message: full, retain: true })
        await accept(store, { message: message({ topic: 'zero', qos: 0 }), retain: true })
        await accept(store, { message: message({ topic: 'gone', qos: 0 }), retain: true })
        await accept(store, { message: message({ topic: 'gone', text: '', qos: 0 }), retain: true })
        await store.putWill('a', { message: full, delayInterval: 7, dueAt: 5 })
        await store.putWill('b', { message: full, delayInterval: 7, dueAt: 5 })
        await store.deleteWill('b')
        await reopen()
        expect(await retainedText(store, '#')).toEqual(['zero=x', `${full.topic}=${full.payload.toString()}`])
        const [chunk] = await collect(store.retained(full.topic))
        expect(chunk?.map((retained) => comparable({ message: retained }))).toEqual([fieldsOf(full)])
        expect(
          (await collect(store.wills())).map(([id, { message: m, ...rest }]) => ({
            id,
            ...rest,
            ...comparable({ message: m }),
          })),
        ).toEqual([{ id: 'a', delayInterval: 7, dueAt: 5, ...fieldsOf(full) }])
      })

      it('does not bring back what was discarded', async () => {
        const session = await store.openSession('c', keep)
        await session.subscribe([subscription('a')])
        await accept(store, { message: message(), recipients: to('c') })
        await store.discardSession('c')
        await store.openSession('d', keep)
        await reopen()
        expect((await collect(store.sessions())).map(({ clientId }) => clientId)).toEqual(['d'])
        expect(await store.openSession('c', keep)).toMatchObject({
          present: false,
          subscriptions: [],
          queued: 0,
        })
      })

      it('finds messages that expired meanwhile, and hands them out to nobody', async () => {
        await store.openSession('c', keep)
        await accept(store, {
          message: message({ expiresAt: clock.now() + 1 }),
          recipients: to('c', 'nobody'),
          retain: true,
        })
        await store.close()
        clock.advance(1)
        store = make()
        await store.open()
        expect(await queueText(await store.openSession('c', keep))).toBe('')
        expect(await retainedText(store, '#')).toEqual([])
      })
    })
  })
}

function filtersOf(record: SessionRecord | undefined): string[] {
  return (record?.subscriptions ?? []).map(({ filter }) => filter).sort()
}

function sorted(subscriptions: readonly Subscription[]): Subscription[] {
  const key = (s: Subscription): string => `${s.share ?? ''} ${s.filter}`
  return [...subscriptions].sort((a, b) => (key(a) < key(b) ? -1 : 1))
}

function fullMessage(now: number): Message {
  return message({
    topic: 'ä/😀//constructor',
    payload: Buffer.from([...Array(256).keys()]),
    qos: 2,
    retain: true,
    publisherId: 'publisher\0',
    expiresAt: now + 60_000,
    properties: {
      payloadFormat: 1,
      contentType: 'text/plain',
      responseTopic: 'answer/me',
      correlationData: Buffer.from([0, 255, 10]),
      userProperties: [
        ['name', 'value'],
        ['name', ''],
        ['__proto__', 'x'],
      ],
    },
  })
}

function fieldsOf({
  topic,
  payload,
  qos,
  retain,
  properties,
  publisherId,
  receivedAt,
  expiresAt,
}: Message): object {
  return {
    topic,
    payload: payload.toString('hex'),
    qos,
    retain,
    properties: { ...properties, correlationData: properties?.correlationData?.toString('hex') },
    publisherId,
    receivedAt,
    expiresAt,
  }
}

function comparable({ message: m, ...rest }: { message: Message | undefined }): object {
  return { ...rest, ...(m === undefined ? {} : fieldsOf(m)) }
}
