import type { Clock, Timer } from '../../contract/clock.js'
import { GatewayError } from '../../contract/errors.js'
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
import type { Delivery, Subscription } from '../../contract/subscription.js'
import { retainedFull, sessionTaken, storeClosed } from '../failures.js'
import { ValueWriter } from '../bytes.js'
import { encodeDelivery, encodeMessage, encodeSubscription, encodeWill } from '../values.js'
import { CallbackLine } from './callback-line.js'
import { Changes } from './changes.js'
import type { RedisClient, RedisConnections } from './connection.js'
import type { Layout } from './layout.js'
import { RedisLink } from './link.js'
import type { Unpacked } from './message-pack.js'
import {
  operations,
  queuedMessage,
  type Incoming,
  type QueuedMessage,
  type RetainedChange,
} from './operations.js'
import { errorIn, Partition, type BatchNotices } from './partition.js'
import { readQueue } from './queue-page.js'
import { RedisHandle, type HandleHost } from './redis-handle.js'
import { readRetained } from './retained-messages.js'
import { RetainedTopics } from './retained-topics.js'
import { readFields, readSessions } from './sessions.js'
import { acceptSpanning, finishIntent, type AcceptPlan, type SpanningHost } from './spanning-accept.js'
import { inspectRedis, mastersOf, openRedis } from './suitability.js'
import { readWills } from './wills.js'

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

/** Operations and bytes that may wait, for example while Redis is away; what frees room may take twice as much. */
const MAX_WAITING_OPERATIONS = 100_000
const MAX_WAITING_BYTES = 67_108_864
/** What an operation takes in memory beside its bytes. */
const OPERATION_BYTES = 256
const INSPECTION_MS = 30_000
const PROBE_MS = 2_000
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
}

/**
 * Keeps everything in Redis: a single one, behind Sentinel or a Cluster. Several nodes may use the same data.
 * `layout.ts` says where everything is, `script.ts` what a write does, docs/decisions/0003-redis-store.md why.
 */
export class RedisStore implements SharedStore {
  readonly kind = 'redis'
  readonly instance: string
  private running: Running | undefined
  private closing: Promise<void> | undefined
  private readonly line = new CallbackLine()
  private readonly writer = new ValueWriter()
  /** The newest handle of each client that this node has open. */
  private readonly handles = new Map<string, RedisHandle>()
  private waitingOperations = 0
  private waitingBytes = 0
  private readonly plainDeliveries: (Buffer | undefined)[] = []
  private lastUid = 0
  private inspection: Timer | undefined
  private probing: Timer | undefined
  private readonly risksTold = new Set<string>()

  constructor(
    private readonly options: RedisStoreOptions,
    private readonly limits: StoreLimits,
    private readonly events: StoreEvents,
    private readonly clock: Clock,
  ) {
    this.instance = options.instance
  }

  async open(): Promise<void> {
    const { clock, events, limits, options } = this
    const started = clock.now()
    const { client, layout } = await openRedis(options, clock)
    const { connections, waitReplicas } = options
    const link = new RedisLink(client, { address: connections.address, waitReplicas }, clock, events)
    const topics = new RetainedTopics(limits)
    const changes = new Changes(link, layout, topics, this.instance, clock, events)
    const parts = {
      link,
      node: this.instance,
      channel: layout.channel,
      limits,
      clock,
      events,
      notices: this.notices(changes, topics),
    }
    const partitions = Array.from(
      { length: layout.partitions },
      (_, index) => new Partition(index, layout.base(index), parts),
    )
    this.running = { client, link, layout, partitions, topics, changes }
    try {
      await changes.load()
      const counts = await Promise.all(
        partitions.map((_, index) => link.command('scard', `${layout.base(index)}sessions`)),
      )
      events.opened(this.kind, {
        sessions: counts.reduce<number>((sum, count) => sum + Number(count), 0),
        retained: topics.count,
        milliseconds: clock.now() - started,
      })
      await this.inspect()
      await this.probe()
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
    await this.line.settled()
    yield* readSessions(link, layout, this.events)
  }

  async openSession(clientId: string, options: OpenOptions): Promise<StoredSession> {
    const { cleanStart, expiryInterval, evenExpired = false } = options
    const opening = operations.open(clientId, cleanStart, expiryInterval, evenExpired)
    const result = await this.writeTo(clientId, opening)
    const { layout } = this.whenOpen()
    const [present, epoch, born, fields, former, unfinished, queued, settledUpTo, last] = result as OpenResult
    for (const intent of unfinished) await finishIntent(this.spanning(), intent)
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
    await this.writeTo(clientId, operations.discard(clientId, false))
    this.handles.delete(clientId)
  }

  async discardExpired(clientId: string): Promise<boolean> {
    return (await this.writeTo(clientId, operations.discard(clientId, true))) === true
  }

  async claimExpired(most: number): Promise<readonly string[]> {
    const { partitions } = this.whenOpen()
    const claimed = await Promise.all(
      partitions.map((partition) => this.write(partition, operations.claimExpired(most), [], true)),
    )
    return claimed.flatMap((ids) => (ids as readonly Buffer[]).map(String))
  }

  accept(accept: Accept, done: AcceptDone): void {
    const { message, retain } = accept
    const info =
      message.payload.length === 0
        ? undefined
        : { size: message.payload.length, expiresAt: message.expiresAt }
    const refused = this.refusal(false) ?? this.refusedOrigin(accept)
    const { running } = this
    if (refused !== undefined || running === undefined) {
      const failure = refused ?? storeClosed()
      this.line.enter().settle(() => done(failure, NO_SEQUENCES))
      return
    }
    if (retain && !this.stageRetained(running, message.topic, info)) {
      this.line.enter().settle(() => done(retainedFull(), NO_SEQUENCES))
      return
    }
    const plan = this.plan(accept)
    const weight = this.weigh(plan)
    const ticket = this.line.enter()
    const finish = (
      error: GatewayError | undefined,
      failed: string | undefined,
      sequences: readonly (number | undefined)[],
    ): void => {
      weight.release()
      const failure = error ?? this.failureOf(failed, accept.incoming?.session.clientId ?? message.topic)
      if (retain) running.topics.unstage(message.topic, info, failure === undefined)
      ticket.settle(() => {
        if (failure === undefined && accept.incoming?.session instanceof RedisHandle)
          accept.incoming.session.incoming.add(accept.incoming.packetId)
        done(failure, failure === undefined ? sequences : NO_SEQUENCES)
      })
    }
    this.dispatch(running, plan, finish)
  }

  async *retained(filter: string): AsyncGenerator<readonly Message[]> {
    const { link, layout, topics, changes } = this.whenOpen()
    await this.line.settled()
    await changes.caughtUp()
    yield* readRetained(link, layout, topics, filter, {
      clock: this.clock,
      events: this.events,
      onExpired: (topic) => this.clearExpired(topic),
    })
  }

  get retainedCount(): number {
    return this.running?.topics.count ?? 0
  }

  async putWill(clientId: string, will: StoredWill): Promise<void> {
    const value = encodeWill(this.writer, will)
    // With a time it is an update of the will that the client came with.
    await this.writeTo(clientId, operations.putWill(clientId, value, will.dueAt !== undefined))
  }

  async deleteWill(clientId: string): Promise<void> {
    await this.writeTo(clientId, operations.deleteWill(clientId))
  }

  async *wills(): AsyncGenerator<readonly [clientId: string, will: StoredWill]> {
    const { link, layout } = this.whenOpen()
    await this.line.settled()
    const living = (await this.options.livingInstances?.()) ?? NOBODY
    for (let index = 0; index < layout.partitions; index++) {
      const left: string[] = []
      for await (const { owner, clientId, will } of readWills(link, layout.base(index), this.events)) {
        if (owner !== this.instance && living.has(owner)) continue
        if (owner !== this.instance) left.push(owner, clientId)
        yield [clientId, will]
      }
      await this.takeWills(index, left)
    }
  }

  async follow(listener: SessionChangeListener): Promise<void> {
    const { changes } = this.whenOpen()
    await changes.follow(this.options.connections, listener)
  }

  async adopt(instance: string): Promise<Adopted> {
    const { link, layout, partitions } = this.whenOpen()
    const everywhere = (packed: Buffer): Promise<Unpacked[]> =>
      Promise.all(partitions.map((partition) => this.write(partition, packed, [], true)))
    await everywhere(operations.fence(instance))
    for (const intents of await everywhere(operations.takeIntents(instance)))
      for (const intent of intents as readonly Buffer[]) await finishIntent(this.spanning(), intent)
    const sessions: string[] = []
    const wills: (readonly [string, StoredWill])[] = []
    for (const [index, partition] of partitions.entries()) {
      for (let more = true; more;) {
        const taken = await this.write(partition, operations.takeSessions(instance), [], true)
        const [left, ids] = taken as [boolean, readonly Buffer[]]
        sessions.push(...ids.map(String))
        more = left
      }
      for await (const { owner, clientId, will } of readWills(link, layout.base(index), this.events)) {
        if (owner !== instance) continue
        const taken = await this.takeWills(index, [instance, clientId])
        if (taken.length > 0) wills.push([clientId, will])
      }
    }
    return { sessions, wills }
  }

  private async takeWills(index: number, pairs: readonly string[]): Promise<readonly string[]> {
    const partition = this.whenOpen().partitions[index]
    const taken: string[] = []
    for (let i = 0; i + 1 < pairs.length && partition !== undefined; i += 2) {
      const packed = operations.takeWills(pairs[i] ?? '', [pairs[i + 1] ?? ''])
      taken.push(...((await this.write(partition, packed, [], true)) as readonly Buffer[]).map(String))
    }
    return taken
  }

  /** Looks at the settings of Redis, and again after a while: somebody may change them under a running gateway. */
  private async inspect(): Promise<void> {
    const { running } = this
    if (running === undefined || this.closing !== undefined) return
    try {
      const { fault, risks } = await inspectRedis(running.client, this.options.connections.address)
      running.link.setFault(fault)
      for (const risk of risks) {
        if (!this.risksTold.has(risk)) this.events.risk(risk)
        this.risksTold.add(risk)
      }
    } catch (error) {
      running.link.failed(error)
    }
    if (this.isClosing()) return
    this.inspection = this.clock.schedule(INSPECTION_MS, () => void this.inspect())
  }

  /** Redis is asked when nobody writes, too: readiness is to tell before the next message comes. */
  private async probe(): Promise<void> {
    const { running } = this
    if (running === undefined || this.closing !== undefined) return
    try {
      const masters = mastersOf(running.client)
      if (masters.length === 0) throw new Error('no master is known')
      await Promise.all(masters.map((master) => master.ping()))
      running.link.answered()
    } catch (error) {
      running.link.failed(error)
    }
    if (this.isClosing()) return
    this.probing = this.clock.schedule(PROBE_MS, () => void this.probe())
  }

  private isClosing(): boolean {
    return this.closing !== undefined
  }

  private async shutDown(): Promise<void> {
    const { running } = this
    if (running === undefined) return
    const { link, partitions, client, changes } = running
    this.inspection?.cancel()
    this.probing?.cancel()
    const drained = Promise.all(partitions.map((partition) => partition.idle()))
    const timer = this.clock.schedule(PATIENCE_MS, () => link.end())
    await drained
    timer.cancel()
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

  private plan({ message, recipients, retain, incoming }: Accept): AcceptPlan {
    const kept = recipients.length > 0 || (retain && message.payload.length > 0)
    const bytes = kept ? encodeMessage(this.writer, message) : NOTHING
    const change: RetainedChange | false = retain && [
      message.topic,
      message.payload.length > 0 && bytes,
      message.payload.length,
      message.expiresAt ?? false,
    ]
    return {
      message: this.queued(bytes, message),
      recipients: recipients.flatMap(({ clientId, delivery }) => [clientId, this.packDelivery(delivery)]),
      change,
      incoming: incoming === undefined ? false : incomingOf(incoming.session, incoming.packetId),
    }
  }

  /** Nearly all deliveries are one of six; those are encoded once. */
  private packDelivery(delivery: Delivery): Buffer {
    const { qos, retain, identifiers, sharedFilter } = delivery
    if (identifiers.length > 0 || sharedFilter !== undefined) return encodeDelivery(this.writer, delivery)
    return (this.plainDeliveries[qos * 2 + Number(retain)] ??= encodeDelivery(this.writer, delivery))
  }

  private queued(bytes: Buffer, message: Message): QueuedMessage {
    const uid = `${this.instance}.${(++this.lastUid).toString(36)}`
    return queuedMessage(uid, bytes, message, this.clock.now())
  }

  private dispatch(
    { layout, partitions }: Running,
    plan: AcceptPlan,
    finish: (
      error: GatewayError | undefined,
      failed: string | undefined,
      sequences: readonly (number | undefined)[],
    ) => void,
  ): void {
    const { message, recipients, change, incoming } = plan
    const involved = new Set<number>()
    const clients: string[] = []
    for (let i = 0; i < recipients.length; i += 2) clients.push(String(recipients[i]))
    for (const id of clients) involved.add(layout.partitionOf(id))
    if (change !== false) involved.add(layout.partitionOf(change[0]))
    if (incoming !== false) involved.add(layout.partitionOf(incoming[0]))
    const [first] = involved
    if (first === undefined) {
      finish(undefined, undefined, NO_SEQUENCES)
      return
    }
    if (involved.size > 1) {
      acceptSpanning(this.spanning(), plan, finish)
      return
    }
    partitions[first]?.add({
      packed: operations.accept(message, recipients, change, incoming),
      clients,
      ready: true,
      done: (error, result) => finish(error, errorIn(result), sequencesOf(result)),
    })
  }

  private spanning(): SpanningHost {
    const { layout, partitions } = this.whenOpen()
    return {
      partitionOf: (name) => layout.partitionOf(name),
      partition(index) {
        const partition = partitions[index]
        if (partition === undefined) throw storeClosed()
        return partition
      },
    }
  }

  private stageRetained(
    { topics }: Running,
    topic: string,
    info: Parameters<RetainedTopics['stage']>[1],
  ): boolean {
    if (topics.stage(topic, info)) return true
    for (const expired of topics.expired(this.clock.now())) this.clearExpired(expired)
    return topics.stage(topic, info)
  }

  private clearExpired(topic: string): void {
    const { running } = this
    const partition = running?.partitions[running.layout.partitionOf(topic)]
    if (running === undefined || partition === undefined || this.refusal(true) !== undefined) return
    running.topics.stage(topic, undefined)
    const unstage = (): void => running.topics.unstage(topic, undefined, false)
    // What could not be cleared is found again by the next look.
    this.write(partition, operations.unretain(topic), [], true).then(unstage, unstage)
  }

  private refusedOrigin({ incoming }: Accept): GatewayError | undefined {
    if (incoming === undefined || incoming.session instanceof RedisHandle) return undefined
    return sessionTaken(incoming.session.clientId)
  }

  private whenOpen(): Running {
    if (this.running === undefined || this.closing !== undefined) throw storeClosed()
    return this.running
  }

  private refusal(frees: boolean): GatewayError | undefined {
    if (this.running === undefined || this.closing !== undefined) return storeClosed()
    const room = frees ? 2 : 1
    if (
      this.waitingOperations < MAX_WAITING_OPERATIONS * room &&
      this.waitingBytes < MAX_WAITING_BYTES * room
    )
      return undefined
    return new GatewayError('STORE_BUSY', 'Too many writes wait for Redis.')
  }

  private weigh({ message, recipients }: AcceptPlan): { release(): void } {
    return this.take(
      1 + recipients.length / 2,
      message[1].length + (1 + recipients.length / 2) * OPERATION_BYTES,
    )
  }

  private take(operationCount: number, bytes: number): { release(): void } {
    this.waitingOperations += operationCount
    this.waitingBytes += bytes
    return {
      release: () => {
        this.waitingOperations -= operationCount
        this.waitingBytes -= bytes
      },
    }
  }

  private writeTo(clientId: string, packed: Buffer): Promise<Unpacked> {
    const { running } = this
    const partition = running?.partitions[running.layout.partitionOf(clientId)]
    if (partition === undefined) return Promise.reject(storeClosed())
    return this.write(partition, packed, [clientId], false)
  }

  private write(
    partition: Partition,
    packed: Buffer,
    clients: readonly string[],
    frees: boolean,
  ): Promise<Unpacked> {
    return new Promise((resolve, reject) => {
      this.lineUp(partition, packed, clients, frees, (error, result) => {
        if (error === undefined) resolve(result)
        else reject(error)
      })
    })
  }

  private lineUp(
    partition: Partition,
    packed: Buffer,
    clients: readonly string[],
    frees: boolean,
    done: (error: GatewayError | undefined, result: Unpacked) => void,
  ): void {
    const ticket = this.line.enter()
    const refused = this.refusal(frees)
    if (refused !== undefined) {
      ticket.settle(() => done(refused, null))
      return
    }
    const weight = this.take(1, packed.length + OPERATION_BYTES)
    partition.add({
      packed,
      clients,
      ready: true,
      done: (error, result) => {
        weight.release()
        const failure = error ?? this.failureOf(errorIn(result), clients[0] ?? '')
        ticket.settle(() => done(failure, result))
      },
    })
  }

  private failureOf(failed: string | undefined, name: string): GatewayError | undefined {
    switch (failed) {
      case undefined:
        return undefined
      case 'TAKEN':
        return sessionTaken(name)
      case 'OOM':
        return this.running?.link.failure ?? new GatewayError('STORE_UNWRITABLE', 'Redis has no memory left.')
      default: {
        const error = new GatewayError('STORE_DAMAGED', `A value in Redis cannot be used: ${failed}`)
        this.events.entryDamaged('stored value', name, error)
        return error
      }
    }
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
    write: (handle, packed, frees, done) => {
      const { running } = this
      const partition = running?.partitions[running.layout.partitionOf(handle.clientId)]
      if (partition === undefined) this.line.enter().settle(() => done(storeClosed(), null))
      else this.lineUp(partition, packed, [handle.clientId], frees, done)
    },
    packEnqueue: (handle, message, delivery: Delivery) => {
      const body = this.queued(encodeMessage(this.writer, message), message)
      return operations.enqueue(handle.clientId, handle.epoch, body, this.packDelivery(delivery))
    },
    packSubscription: (subscription: Subscription) => encodeSubscription(this.writer, subscription),
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
    await this.line.settled()
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
        await this.writeTo(handle.clientId, operations.purge(handle.clientId, handle.born, sequences)),
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

const NO_SEQUENCES: readonly undefined[] = []
const NOTHING = Buffer.alloc(0)
const NOBODY: ReadonlySet<string> = new Set()

function incomingOf(session: StoredSession, packetId: number): Incoming {
  return [session.clientId, session instanceof RedisHandle ? session.epoch : 0, packetId]
}

function sequencesOf(result: Unpacked): readonly (number | undefined)[] {
  if (!Array.isArray(result)) return NO_SEQUENCES
  return (result as readonly Unpacked[]).map((sequence) =>
    typeof sequence === 'number' ? sequence : undefined,
  )
}
