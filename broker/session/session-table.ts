import type { NodeBus } from '../contract/cluster.js'
import type { EngineClient } from '../contract/engine.js'
import type { Message } from '../contract/message.js'
import type { Router } from '../contract/router.js'
import type { StoredSession } from '../contract/store.js'
import type { Subscription } from '../contract/subscription.js'
import type { CloseCause } from '../contract/transport.js'
import type { RecentEnds } from './cluster/recent-ends.js'
import type { Deliveries } from './deliveries.js'
import type { VolatileQueue } from './delivery-queue.js'
import { Session } from './session.js'

/** The connected client of a session, as far as its session is concerned. */
export interface SessionClient {
  readonly clientId: string
  readonly session: Session
  readonly stored: StoredSession | undefined
  readonly engineClient: EngineClient
  readonly deliveries: Deliveries
  readonly inbound: { close(): void }
  /** As soon as the store has it. */
  readonly will: { readonly message: Message; readonly delayInterval: number } | undefined
  readonly connection: {
    end(cause: CloseCause, reasonCode: number, reason?: string): void
    /** Resolves when the session has been let go of. */
    release(): Promise<void>
  }
}

interface Holder {
  readonly session: Session
  readonly client: SessionClient | undefined
}

/** The sessions that this node knows by client id, with their subscriptions in the router, and who is connected to each. */
export class SessionTable {
  private readonly holders = new Map<string, Holder>()
  private connected = 0

  constructor(
    private readonly router: Router,
    /** To other nodes, where sessions may be connected elsewhere. */
    private readonly bus: NodeBus | undefined,
    private readonly ends: RecentEnds | undefined,
  ) {}

  find(clientId: string): Session | undefined {
    return this.holders.get(clientId)?.session
  }

  clientOf(clientId: string): SessionClient | undefined {
    return this.holders.get(clientId)?.client
  }

  /** A durable session with these subscriptions, whose queue somebody else may have sent from. */
  add(clientId: string, subscriptions: readonly Subscription[]): Session {
    const session = new Session(clientId, undefined, this.bus)
    session.restored = true
    session.distrustedUntil = this.ends?.distrustedUntil(clientId)
    for (const subscription of subscriptions) this.subscribe(session, subscription)
    this.put(clientId, { session, client: undefined })
    return session
  }

  /** A session that is to end with its connection. It is known here when it is held. */
  volatile(clientId: string, queue: VolatileQueue): Session {
    return new Session(clientId, queue, undefined)
  }

  /** The durable session of a client that another node has told of. */
  follow(clientId: string): Session {
    const holder = this.holders.get(clientId)
    if (holder?.session.durable === true) return holder.session
    if (holder !== undefined) this.router.remove(holder.session)
    return this.add(clientId, [])
  }

  hold(client: SessionClient): void {
    this.put(client.clientId, { session: client.session, client })
    this.router.arrived(client.session)
  }

  /** The connection is gone. */
  leave(client: SessionClient): void {
    this.router.departed(client.session)
    const holder = this.holders.get(client.clientId)
    if (holder?.client === client) this.put(client.clientId, { session: holder.session, client: undefined })
  }

  /** Removes the session, unless another one has taken its place. */
  remove(session: Session): void {
    this.router.remove(session)
    if (this.find(session.clientId) !== session) return
    this.put(session.clientId, undefined)
    if (session.durable) this.ends?.add(session.clientId)
  }

  /** Brings the subscriptions of a session to what is stored. */
  align(session: Session, stored: readonly Subscription[]): void {
    const obsolete = new Set(session.subscriptions.keys())
    for (const subscription of stored) obsolete.delete(this.subscribe(session, subscription))
    for (const filter of obsolete) this.unsubscribe(session, filter)
  }

  /** Returns the filter as the client wrote it. */
  subscribe(session: Session, subscription: Subscription): string {
    this.router.subscribe(session, subscription)
    return session.keep(subscription)
  }

  /** `filter` as the client writes it, `$share/` prefix included. Undefined: there is no such subscription. */
  unsubscribe(session: Session, filter: string): Subscription | undefined {
    const subscription = session.forget(filter)
    if (subscription !== undefined) this.router.unsubscribe(session, subscription.filter, subscription.share)
    return subscription
  }

  /** Forgets all sessions. Nobody is connected. */
  clear(): void {
    for (const { session } of this.holders.values()) this.router.remove(session)
    this.holders.clear()
    this.connected = 0
  }

  *sessions(): Iterable<Session> {
    for (const { session } of this.holders.values()) yield session
  }

  *clients(): Iterable<SessionClient> {
    for (const { client } of this.holders.values()) if (client !== undefined) yield client
  }

  get count(): number {
    return this.holders.size
  }

  /** Sessions with a client; kept, since a worker tells it four times a second and counting 50,000 takes 5 ms. */
  get clientCount(): number {
    return this.connected
  }

  /** Undefined: nothing is known of the client any more. */
  private put(clientId: string, holder: Holder | undefined): void {
    if (this.clientOf(clientId) !== undefined) this.connected--
    if (holder?.client !== undefined) this.connected++
    if (holder === undefined) this.holders.delete(clientId)
    else this.holders.set(clientId, holder)
  }
}
