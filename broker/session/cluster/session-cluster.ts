import type { MembershipWatcher } from '../../contract/cluster.js'
import type { Adopted } from '../../contract/store.js'
import { ReasonCode } from '../../wire/reason-codes.js'
import { Arrivals, type ArrivalsParts } from './arrivals.js'
import type { ClusterLinks } from './cluster-links.js'
import { ExpiryWatch } from './expiry-watch.js'
import { FollowedSessions } from './followed-sessions.js'

export type SessionClusterParts = Omit<ArrivalsParts, 'followed'>

/** The sessions of this node among those of all nodes: what is heard from others, and what is seen to for those that have gone. */
export class SessionCluster {
  private readonly followed: FollowedSessions
  private readonly expiry: ExpiryWatch
  private readonly unwatch: () => void
  private isSuspended = false

  constructor(
    private readonly links: ClusterLinks,
    private readonly parts: SessionClusterParts,
  ) {
    const { table, wills, clock, onDefect } = parts
    const endConnection = (clientId: string): void => {
      table.clientOf(clientId)?.connection.end('taken_over', ReasonCode.SessionTakenOver)
    }
    this.followed = new FollowedSessions(links, table, wills, endConnection, clock, onDefect)
    this.expiry = new ExpiryWatch(links.store, clock, (clientId) => this.expire(clientId), onDefect)
    links.bus.listen(new Arrivals({ ...parts, followed: this.followed }))
    // From the beginning: a node takes over from others as soon as it has joined.
    this.unwatch = links.membership.watch(this.watcher)
  }

  /** Whether this node was taken for dead and has not joined again: nobody can connect to it. */
  get suspended(): boolean {
    return this.isSuspended
  }

  /** Resolves when every node delivers to what has been subscribed to before the call; see `Interest.settled`. */
  settled(soon: boolean): Promise<void> {
    return this.links.interest.settled(soon)
  }

  /** Restores the sessions of all nodes, and publishes the wills that nobody answers for. */
  async start(): Promise<void> {
    await this.followed.start()
    await this.parts.wills.restore((clientId) => this.parts.table.find(clientId) !== undefined)
    this.expiry.start()
  }

  async stop(): Promise<void> {
    this.unwatch()
    this.followed.stop()
    await this.expiry.stop()
  }

  private readonly watcher: MembershipWatcher = {
    left: (node) => this.followed.nodeLeft(node),
    adopted: (adopted) => this.adopt(adopted),
    expelled: () => this.letGoOfAll(),
    rejoined: async () => {
      await this.followed.start()
      this.expiry.start()
      this.isSuspended = false
    },
  }

  private async adopt(adopted: Adopted): Promise<void> {
    const { wills, table } = this.parts
    // At the start, as well: whoever knows no sessions would publish what is delayed.
    await this.followed.started
    await wills.adopt(adopted, (clientId) => table.find(clientId) !== undefined)
  }

  /** Ends what other nodes have ended already, as far as this one did not know. */
  private async letGoOfAll(): Promise<void> {
    const { table, sessions, wills, claims, onDefect } = this.parts
    this.isSuspended = true
    this.followed.stop()
    await this.expiry.stop()
    // Until nobody is left, and nobody is in the middle of CONNECT either.
    let clients = [...table.clients()]
    do {
      for (const { clientId, connection } of clients) {
        connection.end('server_shutdown', ReasonCode.UseAnotherServer)
        sessions.lock.run(clientId, () => connection.release()).catch(onDefect)
      }
      await sessions.lock.idle()
      clients = [...table.clients()]
    } while (clients.length > 0)
    wills.stop()
    claims.forgetAll()
    table.clear()
  }

  private expire(clientId: string): Promise<void> {
    const { sessions } = this.parts
    return sessions.lock.run(clientId, () => sessions.expireShared(clientId))
  }
}
