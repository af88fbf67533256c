import type { Clock, Timer } from '../../contract/clock.js'
import type { GatewayError } from '../../contract/errors.js'
import type { StoreEvents } from '../../contract/events.js'
import type { StoreLimits } from '../../contract/store.js'
import { storeClosed } from '../failures.js'
import { RetainedCatchUp } from './accept.js'
import { LevelBatch } from './batch.js'
import { ValueWriter } from '../bytes.js'
import { LevelContents } from './contents.js'
import { openFailure, unwritableStore, type Database, type OpenDatabase } from './database.js'
import { Journal, type Committer } from './journal.js'
import { discardedKey } from './keys.js'
import type { LevelSession } from './level-session.js'
import { clearSession, load } from './load.js'
import { readIncoming, readSubscriptions } from './read.js'

/** Pause before a store that cannot be written is opened again. */
const RETRY_MS = 1_000

/**
 * The database with the contents read from it, opened, closed, and opened again after a write has failed.
 *
 * A failed write leaves LevelDB in a state that must not be written on. When a part of a record has reached the
 * log, what follows it is misaligned and is silently left out when the log is read back: after one write that
 * found the disk full, all of 1,677 later ones that LevelDB confirmed were lost at the next start. After a failed
 * fsync or compaction it refuses everything for good. Opening it again starts a new log. Nobody knows whether the
 * failed batch is on the disk, so all that is in memory is read again too.
 */
export class Disk implements Committer<LevelBatch> {
  readonly contents: LevelContents
  readonly journal: Journal<LevelBatch>
  /** Why nothing can be written; undefined: it can. */
  failure: GatewayError | undefined = storeClosed()
  private database: Database | undefined
  private opened = false
  private closing: Promise<void> = Promise.resolve()
  private recovery: Promise<void> | undefined
  private retry: Timer | undefined
  private committingSince = 0
  /** Numbers of discarded sessions of which something is left. */
  private readonly discarded = new Set<number>()
  private clearing: Promise<void> | undefined

  constructor(
    private readonly directory: string,
    private readonly sync: boolean,
    private readonly openDatabase: OpenDatabase,
    limits: StoreLimits,
    private readonly events: StoreEvents,
    private readonly clock: Clock,
  ) {
    this.contents = new LevelContents(limits, events, clock, new ValueWriter())
    this.journal = new Journal(this)
    this.journal.refuse(this.failure)
  }

  get isOpen(): boolean {
    return this.opened
  }

  async open(): Promise<void> {
    await this.readAll()
    this.opened = true
    this.failure = undefined
    this.journal.refuse(undefined)
  }

  close(): Promise<void> {
    if (this.opened) this.closing = this.shut()
    return this.closing
  }

  /** The database, when all writes called before have ended. Rejects with STORE_CLOSED or STORE_UNWRITABLE. */
  async settled(): Promise<Database> {
    await this.journal.settled()
    if (!this.opened) throw storeClosed()
    if (this.database === undefined) throw this.failure ?? storeClosed()
    return this.database
  }

  /** What a failure to read means. */
  readFailure(error: unknown): GatewayError {
    // Closed under the reader, after a write had failed.
    return this.failure ?? openFailure(this.directory, error)
  }

  discard(batch: LevelBatch, session: LevelSession): void {
    this.contents.discard(batch, session)
    batch.whenCommitted(() => this.clearLater(session.number))
  }

  begin(): LevelBatch {
    if (this.database === undefined) throw new Error('a batch begins while the database is closed')
    return new LevelBatch(this.database, this.contents.writer)
  }

  commit(batch: LevelBatch): Promise<void> | undefined {
    this.committingSince = this.clock.now()
    return batch.write(this.sync)
  }

  committed(batch: LevelBatch): void {
    this.contents.retained.committed()
    batch.committed()
    if (batch.length > 0) this.events.committed(batch.length, this.clock.now() - this.committingSince)
  }

  failed(error: unknown): GatewayError {
    this.contents.retained.failed()
    this.failure = unwritableStore(this.directory, error)
    this.events.writeFailed(this.failure)
    this.recovery = this.recover()
    return this.failure
  }

  private async shut(): Promise<void> {
    this.opened = false
    this.retry?.cancel()
    this.journal.refuse(storeClosed())
    await this.recovery
    await this.clearing
    if (this.failure !== undefined) this.journal.abandon()
    await this.journal.drained()
    // The last batch may have failed.
    await this.recovery
    this.failure = storeClosed()
    await this.database?.close()
    this.database = undefined
  }

  private async recover(): Promise<void> {
    try {
      await this.clearing
      await this.database?.close()
      this.database = undefined
      await this.readAll()
    } catch (error) {
      const failure = openFailure(this.directory, error)
      this.failure = failure
      if (this.opened) {
        this.journal.refuse(failure)
        this.retry = this.clock.schedule(RETRY_MS, () => {
          this.recovery = this.recover()
        })
      }
      this.journal.abandon()
      return
    }
    this.failure = undefined
    if (this.opened) this.journal.refuse(undefined)
    this.events.writesRecovered()
    this.journal.resume()
  }

  private async readAll(): Promise<void> {
    const database = await this.openDatabase(this.directory)
    try {
      const loaded = await load(database, this.contents.writer, this.events)
      for (const handle of this.contents.adopt(loaded)) {
        const subscriptions = await readSubscriptions(database, handle.session, this.events)
        handle.restore(subscriptions, await readIncoming(database, handle.session))
      }
    } catch (error) {
      await database.close()
      throw openFailure(this.directory, error)
    }
    this.database = database
    for (const [topic, order, bytes] of this.contents.retained.behind())
      this.journal.line(new RetainedCatchUp(this.contents, topic, order, bytes, () => {}), undefined)
  }

  private clearLater(session: number): void {
    this.discarded.add(session)
    this.clearing ??= this.clear().finally(() => {
      this.clearing = undefined
    })
  }

  /** Removes what is left of discarded sessions. What this does not come to, the next start does. */
  private async clear(): Promise<void> {
    for (const number of this.discarded) {
      this.discarded.delete(number)
      if (!this.opened || this.failure !== undefined || this.database === undefined) continue
      try {
        await clearSession(this.database, number)
      } catch (error) {
        this.events.writeFailed(unwritableStore(this.directory, error))
        continue
      }
      this.journal.add({
        operations: 1,
        bytes: 0,
        early: true,
        stage: (batch) => {
          batch.del(discardedKey(number))
          return undefined
        },
        done: () => {},
      })
    }
  }
}
