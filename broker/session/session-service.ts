import type { Timer } from '../contract/clock.js'
import { isStoreRefusal } from '../contract/errors.js'
import type { AcceptConnection } from '../contract/transport.js'
import type { Service } from '../contract/service.js'
import { ReasonCode } from '../wire/reason-codes.js'
import { ClientClaims } from './cluster/client-claims.js'
import { RecentEnds } from './cluster/recent-ends.js'
import { SessionCluster } from './cluster/session-cluster.js'
import { Connection } from './connection.js'
import { Departure, type DeparturePlan } from './departure.js'
import { Sessions } from './sessions.js'
import { SessionTable } from './session-table.js'
import type { SessionDependencies, SessionLayer } from './session-layer.js'
import { TimerWheel } from './timer-wheel.js'
import { Wills } from './wills.js'

/** Resolution of keep-alive, session expiry, will delay and connect timeout in milliseconds. */
const TICK_MS = 250

/** The session layer: `accept` is what listeners hand their connections to. */
export class SessionService implements Service {
  readonly name = 'sessions'
  private readonly layer: SessionLayer
  private readonly table: SessionTable
  private stopping = false

  constructor(deps: SessionDependencies) {
    const { store, router, engine, clock, events, limits, links } = deps
    const onDefect = (error: unknown): void => {
      if (!isStoreRefusal(error)) deps.onDefect(error)
    }
    const bus = links?.bus
    const wheel = new TimerWheel(clock, TICK_MS, onDefect)
    const wills = new Wills(store, engine, wheel, clock, events, onDefect, links?.store)
    const claims = links === undefined ? undefined : new ClientClaims(links, wills, events)
    const ends = links === undefined ? undefined : new RecentEnds(clock)
    const table = (this.table = new SessionTable(router, bus, ends))
    const queueBounds = {
      messages: limits.queuedMessages,
      bytes: limits.queuedBytes,
      whenFull: limits.whenQueueFull,
    }
    const sessions = new Sessions({
      store,
      table,
      router,
      engine,
      wills,
      wheel,
      clock,
      events,
      queueBounds,
      onDefect,
      claims,
      bus,
    })
    const cluster =
      links === undefined || claims === undefined
        ? undefined
        : new SessionCluster(links, { ...deps, onDefect, store, table, sessions, wills, claims, bus })
    const departure = new Departure(sessions, clock)
    this.layer = { ...deps, onDefect, wheel, wills, sessions, cluster, departure }
  }

  /** Restores sessions, then publishes the wills that a former process left behind; listeners start after it. */
  async start(): Promise<void> {
    const { sessions, wills, cluster } = this.layer
    if (cluster !== undefined) {
      await cluster.start()
      return
    }
    await sessions.restore()
    await wills.restore((clientId) => this.table.find(clientId) !== undefined)
  }

  /** Takes no more clients, and asks those that there are to leave; see `Departure.run`. */
  drain(plan: DeparturePlan): Promise<boolean> {
    return this.layer.departure.run(plan)
  }

  /**
   * Tells every client that the server goes, and waits until every session has been closed; no longer than
   * `stopWithinMs`, when the store is away.
   */
  async stop(): Promise<void> {
    this.stopping = true
    const { clock, stopWithinMs } = this.layer
    let timer: Timer | undefined
    const patience = new Promise<void>((resolve) => (timer = clock.schedule(stopWithinMs, resolve)))
    await Promise.race([this.closeAll(), patience]).finally(() => timer?.cancel())
    this.layer.wills.stop()
    this.layer.wheel.stop()
  }

  private async closeAll(): Promise<void> {
    for (const client of this.layer.sessions.clients()) {
      client.connection.end('server_shutdown', ReasonCode.ServerShuttingDown)
    }
    const { lock } = this.layer.sessions
    for (const { clientId, connection } of this.layer.sessions.clients()) {
      // The end of the connection waits for the same release, and tells of a failure.
      lock.run(clientId, () => connection.release()).catch(() => {})
    }
    await lock.idle()
    await this.layer.cluster?.stop()
  }

  readonly accept: AcceptConnection = (info, outbox) => {
    const connection = new Connection(info, outbox, this.layer)
    if (this.stopping) connection.end('server_shutdown', ReasonCode.ServerShuttingDown)
    return connection
  }

  /** Clients that are connected. */
  get clientCount(): number {
    return this.table.clientCount
  }

  /** Sessions, with and without a connection. */
  get sessionCount(): number {
    return this.table.count
  }
}
