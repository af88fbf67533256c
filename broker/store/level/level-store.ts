import type { Clock } from '../../contract/clock.js'
import type { GatewayError } from '../../contract/errors.js'
import type { StoreEvents } from '../../contract/events.js'
import type { Message } from '../../contract/message.js'
import type { Readiness } from '../../contract/service.js'
import type {
  Accept,
  AcceptDone,
  OpenOptions,
  QueueEntry,
  ReadLimit,
  SessionRecord,
  Store,
  StoredSession,
  StoredWill,
  StoreLimits,
} from '../../contract/store.js'
import { retainedFull, sessionTaken, storeClosed } from '../failures.js'
import { iterated } from '../promised.js'
import { ownUnpooled, retainedChunks } from '../retained.js'
import { AcceptWrite, RetainedCatchUp } from './accept.js'
import type { LevelBatch } from './batch.js'
import { openDatabase, type OpenDatabase } from './database.js'
import { Disk } from './disk.js'
import { willKey } from './keys.js'
import { LevelHandle } from './level-handle.js'
import type { LevelSession } from './level-session.js'
import { readIncoming, readQueue, readSessions, readSubscriptions, readWills } from './read.js'
import { encodeWill } from '../values.js'

export interface LevelStoreOptions {
  /** Where the database lives; made when missing. One process at a time. */
  readonly directory: string
  /**
   * Whether a write is on the disk when it calls back (survives the loss of power), or handed to the operating
   * system (survives the end of the process).
   */
  readonly sync: boolean
  /** How the database is opened; for tests that let it fail. */
  readonly openDatabase?: OpenDatabase
}

/** Keeps everything in a LevelDB database of its own, for one process. */
export class LevelStore implements Store {
  readonly kind = 'level'
  private readonly disk: Disk

  constructor(
    options: LevelStoreOptions,
    limits: StoreLimits,
    private readonly events: StoreEvents,
    private readonly clock: Clock,
  ) {
    this.disk = new Disk(
      options.directory,
      options.sync,
      options.openDatabase ?? openDatabase,
      limits,
      events,
      clock,
    )
  }

  async open(): Promise<void> {
    const started = this.clock.now()
    await this.disk.open()
    const { sessions } = this.disk.contents
    const milliseconds = this.clock.now() - started
    this.events.opened(this.kind, { sessions: sessions.size, retained: this.retainedCount, milliseconds })
  }

  close(): Promise<void> {
    return this.disk.close()
  }

  readiness(): Readiness {
    const failure = this.disk.failure
    return failure === undefined ? { ready: true } : { ready: false, reason: failure.message }
  }

  async *sessions(): AsyncGenerator<SessionRecord> {
    yield* readSessions(await this.disk.settled(), this.events)
  }

  async openSession(clientId: string, options: OpenOptions): Promise<StoredSession> {
    if (!this.disk.isOpen) throw storeClosed()
    // From this call on no earlier handle may write.
    const former = this.disk.contents.sessions.get(clientId)
    if (former !== undefined) former.owner = undefined
    let handle: LevelHandle | undefined
    await this.write((batch) => {
      handle = this.stageOpen(batch, clientId, options)
    })
    if (handle === undefined) throw storeClosed()
    if (handle.present) await this.restore(handle)
    return handle
  }

  discardSession(clientId: string): Promise<void> {
    return this.write((batch) => {
      const session = this.disk.contents.sessions.get(clientId)
      if (session !== undefined) this.disk.discard(batch, session)
    })
  }

  accept(accept: Accept, done: AcceptDone): void {
    const { message, recipients, retain, incoming, will } = accept
    const isPlain = recipients.length === 0 && incoming === undefined && will === undefined
    if (retain && message.qos === 0 && isPlain) {
      this.acceptAtOnce(message, done)
      return
    }
    const { journal, contents } = this.disk
    const write = new AcceptWrite(contents, accept, done)
    journal.line(write, journal.refusal(write) ?? refusedOrigin(accept))
  }

  retained(filter: string): AsyncIterable<readonly Message[]> {
    return iterated(() => {
      if (!this.disk.isOpen) throw storeClosed()
      const { visible } = this.disk.contents.retained
      return retainedChunks(visible, filter, this.clock.now(), (topic) => this.hide(topic))
    })
  }

  get retainedCount(): number {
    return this.disk.contents.retained.visible.count
  }

  putWill(clientId: string, will: StoredWill): Promise<void> {
    const value = encodeWill(this.disk.contents.writer, will)
    return this.write((batch) => batch.put(willKey(clientId), value), value.length)
  }

  deleteWill(clientId: string): Promise<void> {
    return this.write((batch) => batch.del(willKey(clientId)))
  }

  async *wills(): AsyncGenerator<readonly [clientId: string, will: StoredWill]> {
    yield* readWills(await this.disk.settled(), this.events)
  }

  private readonly read = async (
    handle: LevelHandle,
    afterSequence: number,
    limit: ReadLimit,
  ): Promise<readonly QueueEntry[]> => {
    const database = await this.disk.settled()
    const { session } = handle
    const now = this.clock.now()
    const page = await readQueue(database, session, afterSequence, limit, now, this.events).catch(
      (error: unknown) => {
        throw this.disk.readFailure(error)
      },
    )
    // Read again from the disk in between: what was found may be of before.
    if (page === undefined) return handle.session === session ? [] : this.read(handle, afterSequence, limit)
    const { entries, expired, damaged } = page
    if (expired.length > 0 || damaged.length > 0) this.remove(session, expired, damaged)
    return entries
  }

  private stageOpen(batch: LevelBatch, clientId: string, options: OpenOptions): LevelHandle {
    const { contents } = this.disk
    const stored = contents.sessions.get(clientId)
    const expired = stored?.expiresAt !== undefined && stored.expiresAt <= this.clock.now()
    const over = expired && options.evenExpired !== true
    const kept = options.cleanStart || over ? undefined : stored
    if (stored !== undefined && kept === undefined) this.disk.discard(batch, stored)
    const session = kept ?? contents.createSession(clientId)
    const { expiryInterval } = options
    if (kept === undefined || kept.expiresAt !== undefined || kept.expiryInterval !== expiryInterval) {
      session.expiryInterval = expiryInterval
      session.expiresAt = undefined
      contents.putSession(batch, session)
    }
    const handle = new LevelHandle(
      { contents, journal: this.disk.journal, read: this.read },
      session,
      kept !== undefined,
    )
    session.owner = handle
    return handle
  }

  private async restore(handle: LevelHandle): Promise<void> {
    const database = await this.disk.settled()
    try {
      const subscriptions = await readSubscriptions(database, handle.session, this.events)
      handle.restore(subscriptions, await readIncoming(database, handle.session))
    } catch (error) {
      throw this.disk.readFailure(error)
    }
  }

  /** A QoS 0 retained message: visible at once, on the disk behind. */
  private acceptAtOnce(message: Message, done: AcceptDone): void {
    const { journal, contents, failure } = this.disk
    const order = contents.retained.nextOrder()
    const shown = message.payload.length === 0 ? undefined : ownUnpooled(message)
    const { topic, payload } = message
    let refused: GatewayError | undefined
    const catchUp = new RetainedCatchUp(contents, topic, order, payload.length, () => done(refused, []))
    refused = journal.refusal(catchUp)
    // A disk that cannot be written catches up when it can.
    const ahead = refused !== undefined && refused === failure && this.disk.isOpen
    if (ahead) refused = undefined
    if (refused === undefined && !this.show(topic, shown, order)) refused = retainedFull()
    if (ahead) done(refused, [])
    else journal.line(catchUp, refused)
  }

  private show(topic: string, message: Message | undefined, order: number): boolean {
    const { retained } = this.disk.contents
    if (retained.show(topic, message, order)) return true
    for (const expired of retained.expired()) this.hide(expired)
    return retained.show(topic, message, order)
  }

  /** Forgets a retained message that has expired. */
  private hide(topic: string): void {
    const { contents, journal } = this.disk
    const order = contents.retained.nextOrder()
    const catchUp = new RetainedCatchUp(contents, topic, order, 0, () => {})
    // Refused: it is found again by the next look.
    if (journal.refusal(catchUp) !== undefined) return
    contents.retained.show(topic, undefined, order)
    journal.add(catchUp)
  }

  private remove(session: LevelSession, expired: readonly number[], damaged: readonly number[]): void {
    const { contents } = this.disk
    this.disk.journal.add({
      operations: expired.length + damaged.length,
      bytes: 0,
      frees: true,
      early: true,
      stage: (batch) => {
        if (session.gone) return undefined
        let count = 0
        for (const sequence of expired) if (contents.remove(batch, session, sequence)) count++
        for (const sequence of damaged) contents.remove(batch, session, sequence)
        if (count > 0) batch.whenCommitted(() => this.events.messagesExpired(session.clientId, count))
        return undefined
      },
      // What could not be removed is found again by the next read.
      done: () => {},
    })
  }

  private write(stage: (batch: LevelBatch) => void, bytes = 256): Promise<void> {
    return new Promise((resolve, reject) => {
      this.disk.journal.add({
        operations: 1,
        bytes,
        stage(batch) {
          stage(batch)
          return undefined
        },
        done(error) {
          if (error === undefined) resolve()
          else reject(error)
        },
      })
    })
  }
}

function refusedOrigin({ incoming }: Accept): GatewayError | undefined {
  if (incoming === undefined) return undefined
  const { session } = incoming
  return session instanceof LevelHandle && session.owns ? undefined : sessionTaken(session.clientId)
}
