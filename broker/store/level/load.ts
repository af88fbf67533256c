import { GatewayError } from '../../contract/errors.js'
import type { StoreEvents } from '../../contract/events.js'
import { RetainedMessages } from '../retained.js'
import { DamagedValue, type ValueWriter } from '../bytes.js'
import { damagedStore, type Database } from './database.js'
import {
  allOf,
  allOfSession,
  bodyKey,
  describeKey,
  formatKey,
  nameOf,
  numberOf,
  sequenceOf,
  type KeyRange,
} from './keys.js'
import { LevelSession, RELEASED, type Body, type Slot } from './level-session.js'
import {
  decodeEntryHead,
  decodeMessage,
  decodeNumber,
  decodeSession,
  encodeNumber,
  type EntryHead,
} from '../values.js'

/** Layout of keys and values. A store of another version is refused. */
const FORMAT_VERSION = 1
/** Entries that cross from LevelDB's thread at a time. */
const PAGE = 4_096
const PAGE_BYTES = 1_048_576

export interface Loaded {
  readonly sessions: Map<string, LevelSession>
  readonly retained: RetainedMessages
  readonly nextSession: number
  readonly nextBody: number
}

/**
 * Reads into memory what has to be there. A value that cannot be read costs that one entry: it is named, left
 * out and removed; bodies that nothing refers to, and what is left of discarded sessions, are removed too.
 */
export async function load(database: Database, writer: ValueWriter, events: StoreEvents): Promise<Loaded> {
  await checkFormat(database)
  const loading = new Loading(database, events)
  await loading.clearDiscarded()
  await loading.readSessions()
  await loading.readNumbering()
  await loading.readBodyNumbers()
  await loading.readQueues()
  await loading.readRetained()
  // Writing the version each time shows that the store can be written, before anybody relies on it.
  const repairs = database.batch().put(formatKey, encodeNumber(writer, FORMAT_VERSION))
  for (const key of loading.removals) repairs.del(key)
  await repairs.write({ sync: true })
  return loading
}

async function checkFormat(database: Database): Promise<void> {
  const value = await database.get(formatKey)
  if (value === undefined) {
    for await (const key of database.keys({ limit: 1 }))
      throw new GatewayError(
        'STORE_VERSION',
        `The store in ${database.location} has no version; its first key is ${describeKey(key)}.`,
        { hint: 'Give the gateway a directory of its own.' },
      )
    return
  }
  const version = readVersion(database, value)
  if (version === FORMAT_VERSION) return
  throw new GatewayError(
    'STORE_VERSION',
    `The store in ${database.location} has version ${version}; this gateway reads version ${FORMAT_VERSION}.`,
    { hint: 'Start the version of the gateway that wrote it, or move the directory away to start empty.' },
  )
}

function readVersion(database: Database, value: Buffer): number {
  try {
    return decodeNumber(value)
  } catch (error) {
    throw damagedStore(database.location, error)
  }
}

class Loading implements Loaded {
  readonly sessions = new Map<string, LevelSession>()
  readonly retained = new RetainedMessages()
  nextSession = 1
  nextBody = 1
  readonly removals: Buffer[] = []
  private readonly byNumber = new Map<number, LevelSession>()
  /** Bodies that are stored; undefined until an entry refers to them. */
  private readonly bodies = new Map<number, Body | undefined>()

  constructor(
    private readonly database: Database,
    private readonly events: StoreEvents,
  ) {}

  async clearDiscarded(): Promise<void> {
    for (const key of await this.database.keys(allOf('discarded')).all()) {
      await clearSession(this.database, numberOf(key))
      this.removals.push(key)
    }
  }

  async readSessions(): Promise<void> {
    const unreadable: number[] = []
    await this.each('session', 'session', (key, value) => {
      const number = numberOf(key)
      this.nextSession = Math.max(this.nextSession, number + 1)
      unreadable.push(number)
      const stored = decodeSession(value)
      const session = new LevelSession(number, stored.clientId)
      session.expiryInterval = stored.expiryInterval
      session.expiresAt = stored.expiresAt
      this.sessions.set(stored.clientId, session)
      this.byNumber.set(number, session)
      unreadable.pop()
    })
    for (const number of unreadable) await clearSession(this.database, number)
  }

  async readNumbering(): Promise<void> {
    await this.each('numbering', 'queue numbering', (key, value) => {
      const session = this.byNumber.get(numberOf(key))
      if (session !== undefined) session.storedNext = decodeNumber(value)
    })
  }

  async readBodyNumbers(): Promise<void> {
    for await (const key of this.database.keys(allOf('body'))) {
      const number = numberOf(key)
      this.nextBody = Math.max(this.nextBody, number + 1)
      this.bodies.set(number, undefined)
    }
  }

  async readQueues(): Promise<void> {
    await this.each('entry', 'queue entry', (key, value) => {
      const session = this.byNumber.get(numberOf(key))
      const sequence = sequenceOf(key)
      if (session === undefined || sequence < session.queue.next) throw new DamagedValue('belongs nowhere')
      const slot = this.slot(decodeEntryHead(value))
      session.queue.skipTo(sequence)
      session.queue.push(slot)
    })
    for (const session of this.sessions.values()) {
      const { queue } = session
      queue.skipTo(Math.max(queue.next, session.storedNext))
      session.committedNext = queue.next
    }
    for (const [number, body] of this.bodies) if (body === undefined) this.removals.push(bodyKey(number))
  }

  async readRetained(): Promise<void> {
    await this.each('retained', 'retained message', (key, value) => {
      const message = decodeMessage(value)
      if (message.topic !== nameOf(key)) throw new DamagedValue('belongs to another topic')
      this.retained.set(message)
    })
  }

  private slot({ kind, size, expiresAt, body: number }: EntryHead): Slot {
    if (kind === 'released') return RELEASED
    if (kind === 'inline')
      return expiresAt === undefined ? size : { number: 0, size, expiresAt, references: 1 }
    if (!this.bodies.has(number)) throw new DamagedValue('its body is missing')
    const body = this.bodies.get(number) ?? { number, size, expiresAt, references: 0 }
    body.references++
    this.bodies.set(number, body)
    return body
  }

  private async each(
    kind: Parameters<typeof allOf>[0],
    what: string,
    read: (key: Buffer, value: Buffer) => void,
  ): Promise<void> {
    for await (const page of pages(this.database, allOf(kind)))
      for (const [key, value] of page) {
        try {
          read(key, value)
        } catch (error) {
          if (!(error instanceof DamagedValue)) throw error
          this.events.entryDamaged(what, describeKey(key), error)
          this.removals.push(key)
        }
      }
  }
}

/** Removes what is stored under the number of a discarded session, but for the mark that says so. */
export async function clearSession(database: Database, session: number): Promise<void> {
  for (const kind of ['entry', 'subscription', 'incoming', 'numbering'] as const)
    await database.clear(allOfSession(kind, session))
}

/** The entries of a range in pages: one crossing of threads for thousands of them. */
export async function* pages(
  database: Database,
  range: KeyRange,
): AsyncGenerator<readonly (readonly [key: Buffer, value: Buffer])[]> {
  const iterator = database.iterator({ ...range, highWaterMarkBytes: PAGE_BYTES })
  try {
    for (let page = await iterator.nextv(PAGE); page.length > 0; page = await iterator.nextv(PAGE)) yield page
  } finally {
    await iterator.close()
  }
}
