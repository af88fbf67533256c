import type { QueueEntry, ReadLimit, SessionRecord, StoredWill } from '../../contract/store.js'
import type { Message } from '../../contract/message.js'
import type { Subscription } from '../../contract/subscription.js'
import type { StoreEvents } from '../../contract/events.js'
import { DamagedValue } from '../bytes.js'
import type { Database } from './database.js'
import {
  allOf,
  allOfSession,
  bodyKey,
  describeKey,
  entryKey,
  nameOf,
  numberOf,
  packetIdOf,
  sequenceOf,
} from './keys.js'
import { isExpired, type LevelSession, type Slot } from './level-session.js'
import { pages } from './load.js'
import { decodeEntry, decodeMessage, decodeSession, decodeSubscription, decodeWill } from '../values.js'

/** What a look at a queue came to: the entries to hand out, and those that have to go. */
export interface QueuePage {
  readonly entries: readonly QueueEntry[]
  readonly expired: readonly number[]
  readonly damaged: readonly number[]
}

/** Reads entries after a sequence, in order, within the limit. Undefined: the session has gone meanwhile. */
export async function readQueue(
  database: Database,
  session: LevelSession,
  afterSequence: number,
  limit: ReadLimit,
  now: number,
  events: StoreEvents,
): Promise<QueuePage | undefined> {
  const { chosen, expired } = choose(session, afterSequence, limit, now)
  const values = await readRange(database, session, chosen)
  const messages = await readBodies(database, chosen)
  if (session.gone) return undefined
  const entries: QueueEntry[] = []
  const damaged: number[] = []
  for (const [sequence, slot] of chosen) {
    try {
      entries.push(entryOf(sequence, values.get(sequence), messages))
    } catch (error) {
      // Settled or evicted while the disk was read: neither is any longer what it was.
      if (!(error instanceof DamagedValue)) throw error
      if (session.queue.get(sequence) !== slot) continue
      events.entryDamaged('queue entry', describeKey(entryKey(session.number, sequence)), error)
      damaged.push(sequence)
    }
  }
  return { entries, expired, damaged }
}

type Chosen = readonly (readonly [sequence: number, slot: Slot])[]

function choose(
  session: LevelSession,
  afterSequence: number,
  limit: ReadLimit,
  now: number,
): { readonly chosen: Chosen; readonly expired: readonly number[] } {
  const chosen: (readonly [number, Slot])[] = []
  const expired: number[] = []
  let bytes = 0
  for (const [sequence, slot] of session.queue.after(afterSequence)) {
    if (chosen.length >= limit.messages || sequence >= session.committedNext) break
    if (isExpired(slot, now) && sequence > (limit.startedUpTo ?? 0)) {
      expired.push(sequence)
      continue
    }
    bytes += typeof slot === 'number' ? Math.max(slot, 0) : slot.size
    if (chosen.length > 0 && bytes > limit.bytes) break
    chosen.push([sequence, slot])
  }
  return { chosen, expired }
}

async function readRange(
  database: Database,
  session: LevelSession,
  chosen: Chosen,
): Promise<ReadonlyMap<number, Buffer>> {
  const values = new Map<number, Buffer>()
  const first = chosen[0]
  const last = chosen.at(-1)
  if (first === undefined || last === undefined) return values
  const range = { gte: entryKey(session.number, first[0]), lt: entryKey(session.number, last[0] + 1) }
  for await (const page of pages(database, range)) {
    for (const [key, value] of page) values.set(sequenceOf(key), value)
    // Asking whether there is more costs as much as the page did.
    if (values.has(last[0])) break
  }
  return values
}

async function readBodies(
  database: Database,
  chosen: Chosen,
): Promise<ReadonlyMap<number, Message | undefined>> {
  const numbers = new Set<number>()
  for (const [, slot] of chosen) if (typeof slot !== 'number' && slot.number !== 0) numbers.add(slot.number)
  const messages = new Map<number, Message | undefined>()
  if (numbers.size === 0) return messages
  const values = await database.getMany([...numbers].map(bodyKey))
  let i = 0
  for (const number of numbers) messages.set(number, decodedBody(values[i++]))
  return messages
}

function decodedBody(value: Buffer | undefined): Message | undefined {
  try {
    return value === undefined ? undefined : decodeMessage(value)
  } catch (error) {
    if (error instanceof DamagedValue) return undefined
    throw error
  }
}

function entryOf(
  sequence: number,
  value: Buffer | undefined,
  messages: ReadonlyMap<number, Message | undefined>,
): QueueEntry {
  if (value === undefined) throw new DamagedValue('the entry is missing')
  const { kind, delivery, message, body } = decodeEntry(value)
  if (kind === 'inline' || kind === 'released') return { sequence, delivery, message }
  const shared = messages.get(body)
  if (shared === undefined) throw new DamagedValue('its body is missing or damaged')
  return { sequence, delivery, message: shared }
}

export async function readSubscriptions(
  database: Database,
  session: LevelSession,
  events: StoreEvents,
): Promise<readonly Subscription[]> {
  const subscriptions: Subscription[] = []
  for await (const page of pages(database, allOfSession('subscription', session.number)))
    for (const [key, value] of page) {
      const subscription = readable('subscription', key, events, () => decodeSubscription(value))
      if (subscription !== undefined) subscriptions.push(subscription)
    }
  return subscriptions
}

export async function readIncoming(database: Database, session: LevelSession): Promise<readonly number[]> {
  const keys = await database.keys(allOfSession('incoming', session.number)).all()
  return keys.map(packetIdOf)
}

/** Sessions with their subscriptions: both are stored in the order of session numbers, and read side by side. */
export async function* readSessions(database: Database, events: StoreEvents): AsyncGenerator<SessionRecord> {
  const snapshot = database.snapshot()
  const subscriptions = database.iterator({ ...allOf('subscription'), snapshot })
  const sessions = database.iterator({ ...allOf('session'), snapshot })
  try {
    let pending = await subscriptions.next()
    for (let entry = await sessions.next(); entry !== undefined; entry = await sessions.next()) {
      const [key, value] = entry
      const number = numberOf(key)
      const found: Subscription[] = []
      for (; pending !== undefined && numberOf(pending[0]) <= number; pending = await subscriptions.next()) {
        const [subscriptionKey, stored] = pending
        if (numberOf(subscriptionKey) < number) continue
        const decoded = readable('subscription', subscriptionKey, events, () => decodeSubscription(stored))
        if (decoded !== undefined) found.push(decoded)
      }
      const session = readable('session', key, events, () => decodeSession(value))
      if (session !== undefined) yield { ...session, subscriptions: found }
    }
  } finally {
    await subscriptions.close()
    await sessions.close()
    await snapshot.close()
  }
}

export async function* readWills(
  database: Database,
  events: StoreEvents,
): AsyncGenerator<readonly [clientId: string, will: StoredWill]> {
  for await (const page of pages(database, allOf('will')))
    for (const [key, value] of page) {
      const will = readable('will', key, events, () => decodeWill(value))
      if (will !== undefined) yield [nameOf(key), will]
    }
}

function readable<T>(what: string, key: Buffer, events: StoreEvents, decode: () => T): T | undefined {
  try {
    return decode()
  } catch (error) {
    if (!(error instanceof DamagedValue)) throw error
    events.entryDamaged(what, describeKey(key), error)
    return undefined
  }
}
