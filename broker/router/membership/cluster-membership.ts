import type { Clock, Timer } from '../../contract/clock.js'
import type { Membership, MembershipWatcher, RedisCommands, RedisPort } from '../../contract/cluster.js'
import { GatewayError } from '../../contract/errors.js'
import type { MembershipEvents } from '../../contract/events.js'
import type { Readiness, Service } from '../../contract/service.js'
import type { SharedStore } from '../../contract/store.js'
import { Leases } from './leases.js'
import { News } from './news.js'

export interface MembershipParts {
  readonly store: Pick<SharedStore, 'instance' | 'adopt' | 'rejoin' | 'onFenced'>
  readonly redis: RedisPort
  /** How long a node may be silent before the others take it for dead, milliseconds. The same on all nodes. */
  readonly leaseMs: number
  readonly clock: Clock
  readonly events: MembershipEvents
}

/** Beats in the time of a lease; after one that failed the next comes sooner. */
const BEATS_PER_LEASE = 3
const ATTEMPTS_PER_LEASE = 10
/** Pause between two attempts to get the first lease, and before beginning anew once more, milliseconds. */
const JOIN_PAUSE_MS = 50
const REJOIN_PAUSE_MS = 1_000
/** How long a node that leaves waits for Redis, milliseconds. */
const FAREWELL_MS = 1_000

/**
 * Who lives. Each node renews its lease in Redis, and each looks whose has ended; one of those who find it takes over
 * from the node and tells its watchers what it got, and when it dies over that the next one goes on with it.
 *
 * A node that finds itself taken for dead lets go of everything and joins again under a fresh name: the process never
 * ends. Whichever is first says so: a beat, or a write that the store refuses.
 *
 * Start it when the store is open and before anything is written with it, and stop it when the store has been closed:
 * what a node leaves behind is taken over at once, and what it still wrote then would be refused.
 */
export class ClusterMembership implements Membership, Service {
  readonly name = 'membership'
  private redis: RedisCommands | undefined
  private readonly watchers = new Set<MembershipWatcher>()
  private readonly adopting = new Map<string, Promise<void>>()
  private alive: ReadonlySet<string> = new Set()
  private phase: 'outside' | 'member' | 'expelled' | 'stopped' = 'outside'
  private beating: Promise<void> | undefined
  private beatAgain = false
  /** Why the lease was not renewed. */
  private failure: Error | undefined
  private news: News | undefined
  private timer: Timer | undefined
  private rejoining: Promise<void> | undefined
  private expelledAgain = false
  private endPause: (() => void) | undefined
  private retiring = false
  private stopping: Promise<void> | undefined

  constructor(private readonly parts: MembershipParts) {
    parts.store.onFenced(() => this.expel())
  }

  get self(): string {
    return this.parts.store.instance
  }

  get others(): ReadonlySet<string> {
    return this.alive
  }

  watch(watcher: MembershipWatcher): () => void {
    this.watchers.add(watcher)
    return () => void this.watchers.delete(watcher)
  }

  /** Joins. Rejects with REDIS_UNREACHABLE when Redis does not take it within the time of a lease. */
  async start(): Promise<void> {
    const { redis, clock } = this.parts
    this.redis = redis.open('membership')
    // Behind an absence of Redis the lease is renewed before anything else.
    this.redis.onReady(() => this.beatNow())
    await this.join()
    this.news = new News(redis, this.leases.newsKey, clock, () => this.beatNow())
    this.news.start()
  }

  /**
   * This node begins to stop: it takes over from nobody any more. What it is in the middle of is done again by another
   * node once this one has left, since its own watchers are going.
   */
  retire(): void {
    this.retiring = true
  }

  /** Leaves: the others hear of it at once. */
  stop(): Promise<void> {
    this.stopping ??= this.leave()
    return this.stopping
  }

  readiness(): Readiness {
    switch (this.phase) {
      case 'member':
        if (this.failure === undefined) return { ready: true }
        return {
          ready: false,
          reason: `The lease of this node is not renewed, so that others may take it for dead: ${this.failure.message}`,
        }
      case 'expelled':
        return { ready: false, reason: 'This node was taken for dead and is joining the others again.' }
      default:
        return { ready: false, reason: 'This node has not joined the others.' }
    }
  }

  /**
   * Something in Redis is marked with the name of a node that is not among the others. Where nobody has ever heard of it
   * (Redis has lost data), it gets a lease, and is taken over from when it does not renew that.
   */
  async suspect(node: string): Promise<void> {
    if (node !== this.self && !this.alive.has(node)) await this.leases.suspect(this.self, node)
  }

  /**
   * The process of that node is known to be no more: what it had is taken over now, and not when its lease has ended.
   * Never rejects: a lease that cannot be ended now ends by itself.
   */
  async ended(node: string): Promise<void> {
    try {
      if (node !== this.self) await this.leases.leave(node)
    } catch {
      // Redis is away.
    }
  }

  private get leases(): Leases {
    const { redis, leaseMs } = this.parts
    if (this.redis === undefined)
      throw new GatewayError('NOT_RUNNING', 'The membership has not been started.')
    return new Leases(this.redis, redis.keyPrefix, leaseMs)
  }

  private async join(): Promise<void> {
    const { clock, leaseMs, events } = this.parts
    const until = clock.monotonic() + leaseMs
    for (;;) {
      try {
        const beat = await this.leases.beat(this.self, this.alive)
        if (beat.expelled) throw new GatewayError('INTERNAL', `The name ${this.self} is not a fresh one.`)
        this.alive = new Set(beat.others)
        this.phase = 'member'
        for (const key of beat.damaged) events.leaseDamaged(key)
        events.joined(this.self, beat.others.length)
        this.takeOver(beat.toAdopt)
        this.beatLater(leaseMs / BEATS_PER_LEASE)
        return
      } catch (error) {
        if (error instanceof GatewayError) throw error
        if (this.isStopping() || clock.monotonic() >= until) throw unreachable(error)
        await this.pause(JOIN_PAUSE_MS)
      }
    }
  }

  private beatLater(delayMs: number): void {
    this.timer?.cancel()
    if (this.phase === 'member') this.timer = this.parts.clock.schedule(delayMs, () => this.beatNow())
  }

  private beatNow(): void {
    if (this.phase !== 'member') return
    if (this.beating !== undefined) {
      this.beatAgain = true
      return
    }
    this.timer?.cancel()
    this.beating = this.beat().then((delayMs) => {
      this.beating = undefined
      const again = this.beatAgain
      this.beatAgain = false
      if (again) this.beatNow()
      else this.beatLater(delayMs)
    })
  }

  /** Returns when the next one is due, milliseconds. */
  private async beat(): Promise<number> {
    const { leaseMs, events } = this.parts
    try {
      const beat = await this.leases.beat(this.self, this.alive)
      if (this.failure !== undefined) events.leaseRenewed()
      this.failure = undefined
      if (this.phase !== 'member') return 0
      if (beat.expelled) this.expel()
      else {
        for (const key of beat.damaged) events.leaseDamaged(key)
        this.compare(new Set(beat.others))
        this.takeOver(beat.toAdopt)
      }
      return leaseMs / BEATS_PER_LEASE
    } catch (error) {
      if (this.failure === undefined) events.leaseNotRenewed(error as Error)
      this.failure = error as Error
      return leaseMs / ATTEMPTS_PER_LEASE
    }
  }

  private compare(now: ReadonlySet<string>): void {
    const before = this.alive
    this.alive = now
    for (const node of now) {
      if (before.has(node)) continue
      this.parts.events.nodeJoined(node)
      this.tell((watcher) => watcher.joined?.(node))
    }
    for (const node of before) {
      if (now.has(node)) continue
      this.parts.events.nodeLeft(node)
      this.tell((watcher) => watcher.left?.(node))
    }
  }

  private tell(call: (watcher: MembershipWatcher) => void): void {
    for (const watcher of this.watchers) {
      try {
        call(watcher)
      } catch (error) {
        this.parts.events.watcherFailed(error as Error)
      }
    }
  }

  private async tellAll(call: (watcher: MembershipWatcher) => Promise<void>): Promise<void> {
    await Promise.all([...this.watchers].map(call))
  }

  private takeOver(nodes: readonly string[]): void {
    if (this.retiring) return
    for (const gone of nodes)
      if (!this.adopting.has(gone))
        this.adopting.set(
          gone,
          this.adopt(gone).finally(() => this.adopting.delete(gone)),
        )
  }

  /** What fails is tried again with the next beat, here or, when this node is no more, elsewhere. */
  private async adopt(gone: string): Promise<void> {
    const { store, events } = this.parts
    const { self } = this
    try {
      const adopted = await store.adopt(gone)
      events.adopted(gone, adopted.sessions.length, adopted.wills.length)
      for (const watcher of this.watchers) await watcher.adopted?.(adopted, gone)
      if (!this.retiring) await this.leases.adopted(self, gone)
    } catch (error) {
      if (this.phase === 'member' && !this.retiring) events.adoptionFailed(gone, error as Error)
    }
  }

  /** Idempotent for one name: a beat says so, and every write that is refused. */
  private expel(): void {
    if (this.phase !== 'member' || this.isStopping()) return
    this.phase = 'expelled'
    if (this.rejoining !== undefined) this.expelledAgain = true
    else this.rejoining = this.rejoin().finally(() => (this.rejoining = undefined))
  }

  private async rejoin(): Promise<void> {
    const { store, events } = this.parts
    events.expelled(this.self)
    do {
      this.expelledAgain = false
      this.phase = 'expelled'
      this.timer?.cancel()
      this.alive = new Set()
      try {
        await this.tellAll(async (watcher) => watcher.expelled?.())
        await Promise.all(this.adopting.values())
        if (this.isStopping()) return
        await store.rejoin()
        await this.join()
        await this.tellAll(async (watcher) => watcher.rejoined?.())
      } catch (error) {
        if (this.isStopping()) return
        events.rejoinFailed(error as Error)
        this.expelledAgain = true
        await this.pause(REJOIN_PAUSE_MS)
      }
    } while (this.expelledAgain && !this.isStopping())
  }

  private async leave(): Promise<void> {
    this.timer?.cancel()
    this.endPause?.()
    const patience = this.parts.clock.schedule(FAREWELL_MS, () => this.redis?.close())
    await this.rejoining
    await this.beating
    const wasMember = this.phase === 'member'
    this.phase = 'stopped'
    this.timer?.cancel()
    await this.news?.stop()
    await Promise.all(this.adopting.values())
    try {
      if (wasMember) await this.leases.leave(this.self)
    } catch {
      // Redis is away: the lease ends by itself.
    }
    patience.cancel()
    this.redis?.close()
  }

  private isStopping(): boolean {
    return this.stopping !== undefined
  }

  private pause(ms: number): Promise<void> {
    if (this.isStopping()) return Promise.resolve()
    return new Promise((resolve) => {
      const timer = this.parts.clock.schedule(ms, resolve)
      this.endPause = () => {
        timer.cancel()
        resolve()
      }
    })
  }
}

function unreachable(cause: unknown): GatewayError {
  return new GatewayError('REDIS_UNREACHABLE', 'Redis does not take the lease of this node.', {
    hint: 'See its log; the user needs the rights that docs/redis.md lists.',
    cause,
  })
}
