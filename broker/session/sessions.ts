import type { Clock } from '../contract/clock.js'
import type { Engine, EngineClient } from '../contract/engine.js'
import type { Message } from '../contract/message.js'
import type { CloseCause } from '../contract/transport.js'
import type { SessionEvents } from '../contract/events.js'
import type { Router } from '../contract/router.js'
import type { QueueEntry, SessionRecord, Store, StoredSession } from '../contract/store.js'
import type { Subscription } from '../contract/subscription.js'
import { ClientIdLock } from './client-id-lock.js'
import type { Deliveries } from './deliveries.js'
import { VolatileQueue, type QueueBounds } from './delivery-queue.js'
import { redistribute } from './redistribute.js'
import { Session } from './session.js'
import type { TimerWheel } from './timer-wheel.js'
import type { Wills } from './wills.js'

/** Session Expiry Interval that means: never [MQTT 5, 3.1.2.11.2]. */
export const NEVER = 0xffff_ffff

export interface OpenedSession {
  readonly session: Session
  readonly stored: StoredSession | undefined
  readonly present: boolean
}

/** The connected client of a session, as far as its session is concerned. */
export interface SessionClient {
  readonly clientId: string
  readonly session: Session
  readonly stored: StoredSession | undefined
  readonly engineClient: EngineClient
  readonly deliveries: Deliveries
  readonly inbound: { close(): void }
  readonly terms: { readonly will: { readonly message: Message; readonly delayInterval: number } | undefined }
  readonly connection: {
    end(cause: CloseCause, reasonCode: number, reason?: string): void
    /** Resolves when the session has been let go of. */
    release(): Promise<void>
  }
}

export interface SessionsDependencies {
  readonly store: Store
  readonly router: Router
  readonly engine: Engine
  readonly wills: Wills
  readonly wheel: TimerWheel
  readonly clock: Clock
  readonly events: SessionEvents
  readonly queueBounds: QueueBounds
  readonly onDefect: (error: unknown) => void
}

interface Holder {
  readonly session: Session
  client: SessionClient | undefined
}

/**
 * All sessions by client id: opening, takeover, release, expiry. Everything that concerns one client id runs in
 * its turn (`lock`); `open` and `end` are called with the lock held.
 */
export class Sessions {
  readonly lock = new ClientIdLock()
  private readonly holders = new Map<string, Holder>()

  constructor(private readonly deps: SessionsDependencies) {}

  /** Fills router and wheel with what the store holds. Returns the number of sessions. */
  async restore(): Promise<number> {
    const ended: string[] = []
    for await (const record of this.deps.store.sessions()) {
      if (record.expiryInterval === 0) ended.push(record.clientId)
      else this.restoreOne(record)
    }
    // A session that was to end with its connection, whose process died first.
    for (const clientId of ended) await this.deps.store.discardSession(clientId)
    return this.holders.size
  }

  /** Opens the session for a new connection, taking it over from an older one. Call with the lock held. */
  async open(clientId: string, cleanStart: boolean, expiryInterval: number): Promise<OpenedSession> {
    const former = this.holders.get(clientId)
    if (former?.client !== undefined) await takeOver(former.client.connection)
    // The takeover may have ended it.
    const holder = this.holders.get(clientId)
    const kept = holder?.session.durable === true && !cleanStart
    if (holder !== undefined && !kept) await this.end(clientId)
    if (expiryInterval === 0 && !kept) {
      if (cleanStart) await this.deps.store.discardSession(clientId)
      return { session: this.volatileSession(clientId), stored: undefined, present: false }
    }
    const stored = await this.deps.store.openSession(clientId, { cleanStart, expiryInterval })
    if (kept && stored.present) return { session: holder.session, stored, present: true }
    if (kept) this.deps.router.remove(holder.session)
    return { session: this.sessionOf(clientId, stored.subscriptions), stored, present: stored.present }
  }

  /** The session is in the hands of this connection. */
  hold(client: SessionClient): void {
    client.session.expiry?.cancel()
    client.session.expiry = undefined
    this.holders.set(client.clientId, { session: client.session, client })
  }

  /**
   * The connection is gone: closes or ends its session, and publishes or delays its will. Call with the lock held.
   * `withWill`: the client did not take its leave with DISCONNECT 0x00.
   */
  async release(
    client: SessionClient,
    expiryInterval: number,
    withWill: boolean,
    keepWill: boolean,
  ): Promise<void> {
    const { engine, wills } = this.deps
    const { session, stored, clientId } = client
    const { sentUpTo, unsettled } = client.deliveries.close()
    client.inbound.close()
    session.sentUpTo = Math.max(session.sentUpTo, sentUpTo)
    session.detach()
    const holder = this.holders.get(clientId)
    if (holder?.client === client) holder.client = undefined
    engine.detach(client.engineClient)

    const lastsMs = expiryInterval === NEVER ? Infinity : expiryInterval * 1000
    const expiresAt = lastsMs === Infinity ? undefined : this.deps.clock.now() + lastsMs
    const ends = stored === undefined || expiryInterval === 0
    // Before anything that a failing store may reject: the session expires all the same.
    if (!ends && expiresAt !== undefined) this.expireIn(session, lastsMs)
    try {
      const { will } = client.terms
      if (will !== undefined && !keepWill) {
        if (withWill) await wills.connectionEnded(clientId, will.message, will.delayInterval, lastsMs)
        else await wills.discard(clientId)
      }
    } finally {
      if (ends) await this.end(clientId, unsettled)
      else await stored.close(expiresAt)
    }
  }

  /** Ends a session for good. Call with the lock held. */
  async end(clientId: string, unsettled: readonly QueueEntry[] = []): Promise<void> {
    const holder = this.holders.get(clientId)
    if (holder === undefined) return
    const { session } = holder
    this.holders.delete(clientId)
    session.expiry?.cancel()
    this.deps.router.remove(session)
    try {
      await this.deps.wills.sessionEnded(clientId)
      await redistribute(session, await this.undelivered(session, unsettled), this.deps)
    } finally {
      if (session.durable) await this.deps.store.discardSession(clientId)
    }
  }

  /** Whether there is a session, with or without a connection. */
  has(clientId: string): boolean {
    return this.holders.has(clientId)
  }

  *clients(): Iterable<SessionClient> {
    for (const { client } of this.holders.values()) if (client !== undefined) yield client
  }

  get count(): number {
    return this.holders.size
  }

  private restoreOne(record: SessionRecord): void {
    const session = this.sessionOf(record.clientId, record.subscriptions)
    this.holders.set(record.clientId, { session, client: undefined })
    if (record.expiryInterval === NEVER) return
    // A session that was open when the process died counts from now.
    const expiresAt = record.expiresAt ?? this.deps.clock.now() + record.expiryInterval * 1000
    this.expireIn(session, expiresAt - this.deps.clock.now())
  }

  private sessionOf(clientId: string, subscriptions: readonly Subscription[]): Session {
    const session = new Session(clientId, undefined)
    session.restored = true
    for (const subscription of subscriptions) {
      session.keep(subscription)
      this.deps.router.subscribe(session, subscription)
    }
    return session
  }

  private expireIn(session: Session, delayMs: number): void {
    session.expiry = this.deps.wheel.schedule(delayMs, () => {
      session.expiry = undefined
      this.lock.run(session.clientId, () => this.expire(session)).catch(this.deps.onDefect)
    })
  }

  private async expire(session: Session): Promise<void> {
    const holder = this.holders.get(session.clientId)
    // It may have been opened again while this waited for its turn.
    if (holder?.session !== session || holder.client !== undefined) return
    await this.end(session.clientId)
    this.deps.events.sessionExpired(session.clientId)
  }

  /** What a session that ends leaves to the other members of its share groups. */
  private async undelivered(
    session: Session,
    unsettled: readonly QueueEntry[],
  ): Promise<readonly QueueEntry[]> {
    if (session.queue !== undefined) return [...unsettled, ...session.queue.drain()]
    const shared = [...session.subscriptions.values()].some(({ share }) => share !== undefined)
    return shared ? this.remaining(session.clientId) : []
  }

  /** What is left in the stored queue of a session that ends. */
  private async remaining(clientId: string): Promise<readonly QueueEntry[]> {
    const toEmpty = { cleanStart: false, expiryInterval: NEVER, evenExpired: true }
    const stored = await this.deps.store.openSession(clientId, toEmpty)
    const entries: QueueEntry[] = []
    let cursor = stored.settledUpTo
    for (;;) {
      const read = await stored.read(cursor, { messages: 1_000, bytes: 1 << 20 })
      const last = read.at(-1)
      if (last === undefined) return entries
      entries.push(...read.filter(({ delivery }) => delivery.sharedFilter !== undefined))
      cursor = last.sequence
    }
  }

  private volatileSession(clientId: string): Session {
    const { queueBounds, events } = this.deps
    const queue = new VolatileQueue(queueBounds, (count) => {
      events.messageDropped('queue_full', clientId, count)
    })
    return new Session(clientId, queue)
  }
}

async function takeOver(connection: SessionClient['connection']): Promise<void> {
  connection.end('taken_over', 0x8e)
  await connection.release()
}
