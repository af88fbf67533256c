import type { Clock } from '../../contract/clock.js'
import type { StoreEvents } from '../../contract/events.js'
import type { Message } from '../../contract/message.js'
import type { Readiness } from '../../contract/service.js'
import type {
  Accept,
  AcceptDone,
  Adopted,
  OpenOptions,
  QueueEntry,
  ReadLimit,
  SessionChangeListener,
  SessionRecord,
  SharedStore,
  StoredSession,
  StoredWill,
  StoreLimits,
} from '../../contract/store.js'
import { ValueWriter } from '../bytes.js'
import { storeClosed } from '../failures.js'
import { encodeSubscription, encodeWill } from '../values.js'
import { Accepts } from './accepts.js'
import { adopt, leftWills, type AdoptionParts } from './adoption.js'
import { Changes } from './changes.js'
import type { RedisClient, RedisConnections } from './connection.js'
import type { Layout } from './layout.js'
import { RedisLink } from './link.js'
import { operations } from './operations.js'
import { Partition, type BatchNotices } from './partition.js'
import { readQueue } from './queue-page.js'
import { RedisHandle, type HandleHost } from './redis-handle.js'
import { readRetained } from './retained-messages.js'
import { RetainedTopics } from './retained-topics.js'
import { readFields, readSessions } from './sessions.js'
import { finishIntent } from './spanning-accept.js'
import { openRedis } from './suitability.js'
import { Vigil } from './vigil.js'
import { WriteLine } from './write-line.js'

export interface RedisStoreOptions {
  readonly connections: RedisConnections
  readonly keyPrefix: string
  /** Replicas that must have a write before it calls back. */
  readonly waitReplicas: number
  /** Longest wait for Redis at `open`, milliseconds. */
  readonly connectTimeoutMs: number
  /** Names this object among all nodes that there ever were: a fresh one for each store. */
  readonly instance: string
  /**
   * The instances that are alive, besides this one: their wills are left alone at the start. Default: none, as for a
   * gateway that is the only one on its Redis.
   */
  readonly livingInstances?: () => Promise<ReadonlySet<string>>
}

/** How long `close` waits for Redis, and a read does, milliseconds. */
const PATIENCE_MS = 5_000

/** What a running store stands on. */
interface Running {
  readonly client: RedisClient
  readonly link: RedisLink
  readonly layout: Layout
  readonly partitions: readonly Partition[]
  readonly topics: RetainedTopics
  readonly changes: Changes
  readonly accepts: Accepts
  readonly vigil: Vigil
}

/**
 * Keeps everything in Redis: a single one, behind Sentinel or a Cluster. Several nodes may use the same data.
 * `layout.ts` says where everything is, `lua/` what a write does, docs/decisions/0003-redis-store.md why.
 */
export class RedisStore implements SharedStore {
  readonly kind = 'redis'
  readonly instance: string
  private readonly writes: WriteLine
  private readonly writer = new ValueWriter()
  /** The newest handle of each client that this node has open. */
  private readonly handles = new Map<string, RedisHandle>()
  private running: Running | undefined
  private closing: Promise<void> | undefined

  constructor(
    private readonly options: RedisStoreOptions,
    private readonly limits: StoreLimits,
    private readonly events: StoreEvents,
    private readonly clock: Clock,
  ) {
    this.instance = options.instance
    this.writes = new WriteLine(events)
  }

  async open(): Promise<void> {
    const { clock, events, options } = this
    const started = clock.now()
    const { client, layout } = await openRedis(options, clock)
    const running = this.assemble(client, layout)
    this.running = running
    this.writes.open(running)
    try {
      await running.changes.load()
      const counts = await Promise.all(
        running.partitions.map((_, index) => running.link.command('scard', `${layout.base(index)}sessions`)),
      )
      events.opened(this.kind, {
        sessions: counts.reduce<number>((sum, count) => sum + Number(count), 0),
        retained: running.topics.count,
        milliseconds: clock.now() - started,
      })
      await running.vigil.start()
    } catch (error) {
      await this.close()
      throw error
    }
  }

  close(): Promise<void> {
    this.closing ??= this.shutDown()
    return this.closing
  }

  readiness(): Readiness {
    if (this.running === undefined || this.closing !== undefined)
      return { ready: false, reason: storeClosed().message }
    const { failure } = this.running.link
    return failure === undefined ? { ready: true } : { ready: false, reason: failure.message }
  }

  async *sessions(): AsyncGenerator<SessionRecord> {
    const { link, layout } = this.whenOpen()
    await this.writes.settled()
    yield* readSessions(link, layout, this.events)
  }

  async openSession(clientId: string, options: OpenOptions): Promise<StoredSession> {
    const { cleanStart, expiryInterval, evenExpired = false } = options
    const opening = operations.open(clientId, cleanStart, expiryInterval, evenExpired)
    const result = await this.writes.ofClient(clientId, opening)
    const { layout } = this.whenOpen()
    const [present, epoch, born, fields, former, unfinished, queued, settledUpTo, last] = result as OpenResult
    for (const intent of unfinished) await finishIntent(this.writes, intent)
    const key = `${layout.base(layout.partitionOf(clientId))}s:${clientId}`
    const { subscriptions, incoming } = readFields(fields, key, this.events)
    const formerNode = former.toString()
    const takenFrom = formerNode === '' || formerNode === this.instance ? undefined : formerNode
    const handle = new RedisHandle(this.handleHost, {
      clientId,
      present,
      epoch,
      born,
      takenFrom,
      subscriptions,
      incoming,
    })
    handle.queued = queued
    handle.settledUpTo = settledUpTo
    handle.queuedUpTo = last
    this.handles.set(clientId, handle)
    return handle
  }

  async discardSession(clientId: string): Promise<void> {
    await this.writes.ofClient(clientId, operations.discard(clientId, false))
    this.handles.delete(clientId)
  }

  async discardExpired(clientId: string): Promise<boolean> {
    return (await this.writes.ofClient(clientId, operations.discard(clientId, true))) === true
  }

  async claimExpired(most: number): Promise<readonly string[]> {
    this.whenOpen()
    const claimed = await this.writes.everywhere(operations.claimExpired(most))
    return claimed.flatMap((ids) => (ids as readonly Buffer[]).map(String))
  }

  accept(accept: Accept, done: AcceptDone): void {
    const { running } = this
    if (running === undefined || this.closing !== undefined)
      this.writes.enter().settle(() => done(storeClosed(), []))
    else running.accepts.accept(accept, done)
  }

  async *retained(filter: string): AsyncGenerator<readonly Message[]> {
    const { link, layout, topics, changes, accepts } = this.whenOpen()
    await this.writes.settled()
    await changes.caughtUp()
    yield* readRetained(link, layout, topics, filter, {
      clock: this.clock,
      events: this.events,
      onExpired: (topic) => accepts.clearExpired(topic),
    })
  }

  get retainedCount(): number {
    return this.running?.topics.count ?? 0
  }

  async putWill(clientId: string, will: StoredWill): Promise<void> {
    const value = encodeWill(this.writer, will)
    // With a time it is an update of the will that the client came with.
    await this.writes.ofClient(clientId, operations.putWill(clientId, value, will.dueAt !== undefined))
  }

  async deleteWill(clientId: string): Promise<void> {
    await this.writes.ofClient(clientId, operations.deleteWill(clientId))
  }

  async *wills(): AsyncGenerator<readonly [clientId: string, will: StoredWill]> {
    const parts = this.adoptionParts()
    await this.writes.settled()
    yield* leftWills(parts, (await this.options.livingInstances?.()) ?? new Set())
  }

  async follow(listener: SessionChangeListener): Promise<void> {
    const { changes } = this.whenOpen()
    await changes.follow(this.options.connections, listener)
  }

  async adopt(instance: string): Promise<Adopted> {
    return adopt(this.adoptionParts(), instance)
  }

  private adoptionParts(): AdoptionParts {
    const { writes, events, instance } = this
    const { link, layout } = this.whenOpen()
    return { writes, link, layout, events, instance }
  }

  private assemble(client: RedisClient, layout: Layout): Running {
    const { clock, events, limits, instance } = this
    const { connections, waitReplicas } = this.options
    const { address } = connections
    const link = new RedisLink(client, { address, waitReplicas }, clock, events)
    const topics = new RetainedTopics(limits)
    const changes = new Changes(link, layout, topics, instance, clock, events)
    const notices = this.notices(changes, topics)
    const parts = { link, node: instance, channel: layout.channel, limits, clock, events, notices }
    return {
      client,
      link,
      layout,
      partitions: Array.from(
        { length: layout.partitions },
        (_, index) => new Partition(index, layout.base(index), parts),
      ),
      topics,
      changes,
      accepts: new Accepts(this.writes, topics, instance, clock),
      vigil: new Vigil(client, address, link, clock, events),
    }
  }

  private async shutDown(): Promise<void> {
    const { running } = this
    if (running === undefined) return
    const { link, partitions, client, changes, vigil } = running
    vigil.stop()
    const drained = Promise.all(partitions.map((partition) => partition.idle()))
    const timer = this.clock.schedule(PATIENCE_MS, () => link.end())
    await drained
    timer.cancel()
    this.writes.close()
    for (const partition of partitions) partition.abandon(storeClosed())
    try {
      await Promise.all(partitions.map((partition) => partition.forget()))
    } catch {
      // They go by themselves within the hour.
    }
    link.end()
    changes.stop(this.options.connections)
    this.options.connections.end(client)
    this.handles.clear()
    this.running = undefined
  }

  private whenOpen(): Running {
    if (this.running === undefined || this.closing !== undefined) throw storeClosed()
    return this.running
  }

  private notices(changes: Changes, topics: RetainedTopics): BatchNotices {
    return {
      isWatched: (clientId) => this.handles.has(clientId),
      queue: (clientId, born, count, settledUpTo, last) => {
        const handle = this.handles.get(clientId)
        if (handle?.born !== born) return
        handle.queued = count
        if (settledUpTo !== false) handle.settledUpTo = settledUpTo
        handle.queuedUpTo = last
      },
      change: (partition, version, packed) => changes.change(partition, version, packed),
      retainedBytes: (partition, bytes) => topics.setBytes(partition, bytes),
    }
  }

  private readonly handleHost: HandleHost = {
    write: (handle, packed, frees, done) =>
      this.writes.add(handle.clientId, { packed, clients: [handle.clientId], frees }, done),
    packEnqueue: (handle, message, delivery) =>
      this.running?.accepts.packEnqueue(handle, message, delivery) ?? Buffer.alloc(0),
    packSubscription: (subscription) => encodeSubscription(this.writer, subscription),
    read: (handle, afterSequence, limit) => this.read(handle, afterSequence, limit),
    closed: (handle) => {
      if (this.handles.get(handle.clientId) === handle) this.handles.delete(handle.clientId)
    },
  }

  private async read(
    handle: RedisHandle,
    afterSequence: number,
    limit: ReadLimit,
  ): Promise<readonly QueueEntry[]> {
    const { link, layout } = this.whenOpen()
    await this.writes.settled()
    const partition = layout.partitionOf(handle.clientId)
    const base = layout.base(partition)
    const { entries, expired, damaged } = await link.untilAnswered(
      () => readQueue(link, base, handle, afterSequence, limit, this.clock.now()),
      PATIENCE_MS,
    )
    for (const { sequence, error } of damaged)
      this.events.entryDamaged('queue entry', `${base}q:${handle.clientId} ${sequence}`, error)
    const purged = await this.purge(handle, expired)
    if (purged > 0) this.events.messagesExpired(handle.clientId, purged)
    await this.purge(
      handle,
      damaged.map(({ sequence }) => sequence),
    )
    return entries
  }

  /** Removes what nobody is to get. Where Redis does not let it, the next read comes across it again. */
  private async purge(handle: RedisHandle, sequences: readonly number[]): Promise<number> {
    if (sequences.length === 0) return 0
    try {
      return Number(
        await this.writes.ofClient(
          handle.clientId,
          operations.purge(handle.clientId, handle.born, sequences),
        ),
      )
    } catch {
      return 0
    }
  }
}

type OpenResult = readonly [
  present: boolean,
  epoch: number,
  born: number,
  fields: readonly Buffer[],
  former: Buffer,
  unfinished: readonly Buffer[],
  queued: number,
  settledUpTo: number,
  last: number,
]
