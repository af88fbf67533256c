import type { Clock } from '../contract/clock.js'
import type { Engine } from '../contract/engine.js'
import type { SessionEvents } from '../contract/events.js'
import type { NodeBus } from '../contract/cluster.js'
import type { Router } from '../contract/router.js'
import type { QueueEntry, SessionRecord, SharedStore, Store, StoredSession } from '../contract/store.js'
import { isTaken, type ClientClaims } from './cluster/client-claims.js'
import { ClientIdLock } from './client-id-lock.js'
import { VolatileQueue, type QueueBounds } from './delivery-queue.js'
import { redistribute, remainingOf, undelivered } from './redistribute.js'
import { NEVER, type Session } from './session.js'
import type { SessionClient, SessionTable } from './session-table.js'
import type { TimerWheel } from './timer-wheel.js'
import type { Wills } from './wills.js'

export interface OpenedSession {
  readonly session: Session
  readonly stored: StoredSession | undefined
  readonly present: boolean
}

export interface SessionsDependencies {
  readonly store: Store
  readonly table: SessionTable
  readonly router: Router
  readonly engine: Engine
  readonly wills: Wills
  readonly wheel: TimerWheel
  readonly clock: Clock
  readonly events: SessionEvents
  readonly queueBounds: QueueBounds
  readonly onDefect: (error: unknown) => void
  /** Where the store is shared: other nodes have sessions, too, and expiry is a matter of `cluster/expiry-watch`. */
  readonly claims: ClientClaims | undefined
  readonly bus: NodeBus | undefined
}

/**
 * Opening, takeover, release and expiry of sessions. Everything that concerns one client id runs in its turn (`lock`);
 * `open`, `release` and `end` are called with the lock held.
 */
export class Sessions {
  readonly lock = new ClientIdLock()

  constructor(private readonly deps: SessionsDependencies) {}

  /** Fills router and wheel with what the store holds. Of a store that belongs to this process. */
  async restore(): Promise<void> {
    const ended: string[] = []
    for await (const record of this.deps.store.sessions()) {
      if (record.expiryInterval === 0) ended.push(record.clientId)
      else this.restoreOne(record)
    }
    // A session that was to end with its connection, whose process died first.
    for (const clientId of ended) await this.deps.store.discardSession(clientId)
  }

  /**
   * Opens the session for a new connection, taking it over from an older one. Undefined: the new connection was gone
   * before the shared store answered, and the older one has stayed.
   */
  async open(
    clientId: string,
    cleanStart: boolean,
    expiryInterval: number,
    isGone: () => boolean,
  ): Promise<OpenedSession | undefined> {
    const { table, claims } = this.deps
    const endFormer = async (): Promise<void> => {
      const former = table.clientOf(clientId)
      if (former !== undefined) await takeOver(former.connection)
    }
    if (claims === undefined) {
      await endFormer()
      return this.openOwn(clientId, cleanStart, expiryInterval)
    }
    return claims.whileClaimed(clientId, cleanStart, {
      formerStays: () => isGone() && table.clientOf(clientId) !== undefined,
      endFormer,
      open: () => this.openShared(clientId, cleanStart, expiryInterval),
    })
  }

  /** The session is in the hands of this connection. */
  hold(client: SessionClient): void {
    client.session.expiry?.cancel()
    client.session.expiry = undefined
    client.session.openOn = undefined
    this.deps.table.hold(client)
  }

  /**
   * The connection is gone: closes or ends its session, and publishes or delays its will. `withWill`: the client did not
   * take its leave with DISCONNECT 0x00.
   */
  async release(
    client: SessionClient,
    expiryInterval: number,
    withWill: boolean,
    keepWill: boolean,
  ): Promise<void> {
    const { engine, wills, table, claims } = this.deps
    const { session, stored, clientId } = client
    const { sentUpTo, unsettled } = client.deliveries.close()
    client.inbound.close()
    session.sentUpTo = Math.max(session.sentUpTo, sentUpTo)
    session.detach()
    table.leave(client)
    engine.detach(client.engineClient)

    const lastsMs = expiryInterval === NEVER ? Infinity : expiryInterval * 1000
    const expiresAt = lastsMs === Infinity ? undefined : this.deps.clock.now() + lastsMs
    const ends = stored === undefined || expiryInterval === 0
    // Before anything that a failing store may reject: the session expires all the same.
    if (!ends && claims === undefined && expiresAt !== undefined) this.expireIn(session, lastsMs)
    const seeToWill = async (): Promise<void> => {
      const { will } = client
      if (will === undefined || keepWill) return
      if (withWill) await wills.connectionEnded(clientId, will.message, will.delayInterval, lastsMs)
      else await wills.discard(clientId)
    }
    try {
      await seeToWill().finally(() => (ends ? this.endOf(session, unsettled) : stored.close(expiresAt)))
    } catch (error) {
      // Another node has the session by now, and it goes on there.
      if (!isTaken(error)) throw error
    } finally {
      await claims?.letGo(clientId)
    }
  }

  /** Ends a session for good, connected or not. */
  async end(clientId: string): Promise<void> {
    const session = this.deps.table.find(clientId)
    if (session !== undefined) await this.endOf(session)
  }

  /** Ends a session that has expired and that a shared store has given to this node for that, known here or not. */
  async expireShared(clientId: string): Promise<void> {
    const { table, wills, events } = this.deps
    const store = this.deps.store as SharedStore
    if (table.clientOf(clientId) !== undefined) return
    const session = table.find(clientId)
    if (session?.isShared === true) {
      // Whoever has opened it again elsewhere keeps it: this is refused then.
      const left = await remainingOf(clientId, store)
      table.remove(session)
      await redistribute(session, left, this.deps)
      await store.discardSession(clientId)
    } else {
      if (!(await store.discardExpired(clientId))) return
      if (session !== undefined) table.remove(session)
    }
    await wills.sessionEnded(clientId)
    events.sessionExpired(clientId)
  }

  clients(): Iterable<SessionClient> {
    return this.deps.table.clients()
  }

  private async endOf(session: Session, unsettled: readonly QueueEntry[] = []): Promise<void> {
    const { table, wills, store } = this.deps
    const { clientId } = session
    session.expiry?.cancel()
    const isCurrent = table.find(clientId) === session
    table.remove(session)
    if (!isCurrent) return
    try {
      await wills.sessionEnded(clientId)
      await redistribute(session, await undelivered(session, unsettled, store), this.deps)
    } finally {
      if (session.durable) await store.discardSession(clientId)
    }
  }

  private async openOwn(
    clientId: string,
    cleanStart: boolean,
    expiryInterval: number,
  ): Promise<OpenedSession> {
    const { store, table } = this.deps
    // The takeover may have ended it.
    const known = table.find(clientId)
    const kept = known?.durable === true && !cleanStart
    if (known !== undefined && !kept) await this.end(clientId)
    if (expiryInterval === 0 && !kept) {
      if (cleanStart) await store.discardSession(clientId)
      return this.openVolatile(clientId)
    }
    const stored = await store.openSession(clientId, { cleanStart, expiryInterval })
    if (kept && stored.present) return { session: known, stored, present: true }
    if (kept) table.remove(known)
    return { session: table.add(clientId, stored.subscriptions), stored, present: stored.present }
  }

  /** The same where other nodes open, change and end sessions as well: what is stored decides, not what is known here. */
  private async openShared(
    clientId: string,
    cleanStart: boolean,
    expiryInterval: number,
  ): Promise<OpenedSession> {
    const { table } = this.deps
    const store = this.deps.store as SharedStore
    if (cleanStart) {
      await this.end(clientId)
      // Sessions without subscriptions are known only where they are open.
      await store.discardSession(clientId)
      if (expiryInterval === 0) return this.openVolatile(clientId)
    }
    const stored = await store.openSession(clientId, { cleanStart, expiryInterval })
    // What others did before has been told then: whatever comes later was done by whoever has the session next.
    await store.caughtUp()
    const known = table.find(clientId)
    if (stored.present && known?.durable === true) {
      table.align(known, stored.subscriptions)
      // Others may have sent what is in the queue, and DUP says so.
      known.restored = true
      return { session: known, stored, present: true }
    }
    if (known !== undefined) table.remove(known)
    if (!stored.present && expiryInterval === 0) {
      await store.discardSession(clientId)
      return this.openVolatile(clientId)
    }
    return { session: table.add(clientId, stored.subscriptions), stored, present: stored.present }
  }

  private restoreOne(record: SessionRecord): void {
    const session = this.deps.table.add(record.clientId, record.subscriptions)
    if (record.expiryInterval === NEVER) return
    // A session that was open when the process died counts from now.
    const expiresAt = record.expiresAt ?? this.deps.clock.now() + record.expiryInterval * 1000
    this.expireIn(session, expiresAt - this.deps.clock.now())
  }

  private expireIn(session: Session, delayMs: number): void {
    session.expiry = this.deps.wheel.schedule(delayMs, () => {
      session.expiry = undefined
      this.lock.run(session.clientId, () => this.expire(session)).catch(this.deps.onDefect)
    })
  }

  private async expire(session: Session): Promise<void> {
    const { table, events } = this.deps
    const { clientId } = session
    // It may have been opened again while this waited for its turn.
    if (table.find(clientId) !== session || table.clientOf(clientId) !== undefined) return
    await this.end(clientId)
    events.sessionExpired(clientId)
  }

  private openVolatile(clientId: string): OpenedSession {
    const { queueBounds, events, table } = this.deps
    const queue = new VolatileQueue(queueBounds, (count) => {
      events.messageDropped('queue_full', clientId, count)
    })
    return { session: table.volatile(clientId, queue), stored: undefined, present: false }
  }
}

async function takeOver(connection: SessionClient['connection']): Promise<void> {
  connection.end('taken_over', 0x8e)
  await connection.release()
}
