import type { Clock } from '../../contract/clock.js'
import type { StoreEvents } from '../../contract/events.js'
import type { Message } from '../../contract/message.js'
import type { Readiness } from '../../contract/service.js'
import type {
  Accept,
  AcceptDone,
  Adopted,
  ClientClaim,
  OpenOptions,
  SessionChangeListener,
  SessionRecord,
  SharedStore,
  StoredSession,
  StoredWill,
  StoreLimits,
} from '../../contract/store.js'
import { DamagedValue, ValueWriter } from '../bytes.js'
import { storeClosed } from '../failures.js'
import { decodeWill, encodeWill } from '../values.js'
import { adopt, leftWills, takeWill, type AdoptionParts, type Nodes } from './adoption.js'
import type { RedisConnections } from './connection.js'
import { operations } from './operations.js'
import { OpenSessions, otherNode } from './open-sessions.js'
import { readRetained } from './retained-messages.js'
import { assemble, release, type Running } from './running.js'
import { readSessions } from './sessions.js'
import { openRedis } from './suitability.js'
import { WriteLine } from './write-line.js'

export interface RedisStoreOptions {
  readonly connections: RedisConnections
  readonly keyPrefix: string
  /** Replicas that must have a write before it calls back. */
  readonly waitReplicas: number
  /** Longest wait for Redis at `open`, milliseconds. */
  readonly connectTimeoutMs: number
  /** Makes a name that no node has ever had; one for each time that the store is opened. No space, no colon. */
  readonly newInstance: () => string
  /**
   * Who is told of nodes that something in Redis is marked with (open sessions, wills), and sees to it that those which
   * are no more are taken over from. Default: nobody, as for a gateway that is the only one on its Redis: it publishes
   * all wills at its start.
   */
  readonly nodes?: Nodes
}

/** How long `close` waits for Redis, milliseconds. */
const PATIENCE_MS = 5_000

/**
 * Keeps everything in Redis: a single one, behind Sentinel or a Cluster. Several nodes may use the same data.
 * `layout.ts` says where everything is, `lua/` what a write does, docs/decisions/0003-redis-store.md why.
 */
export class RedisStore implements SharedStore {
  readonly kind = 'redis'
  private readonly writes: WriteLine
  private readonly writer = new ValueWriter()
  private readonly opened: OpenSessions
  private name: string
  private running: Running | undefined
  private beginning: Promise<void> | undefined
  private closing: Promise<void> | undefined
  private onFencedListener: (() => void) | undefined

  constructor(
    private readonly options: RedisStoreOptions,
    private readonly limits: StoreLimits,
    private readonly events: StoreEvents,
    private readonly clock: Clock,
  ) {
    this.name = options.newInstance()
    this.writes = new WriteLine(events)
    const host = {
      instance: () => this.name,
      running: () => this.running,
      whenOpen: () => this.whenOpen(),
    }
    this.opened = new OpenSessions(host, this.writes, events, clock)
  }

  get instance(): string {
    return this.name
  }

  onFenced(listener: () => void): void {
    this.onFencedListener = listener
  }

  open(): Promise<void> {
    this.beginning = this.begin()
    return this.beginning
  }

  async rejoin(): Promise<void> {
    const { running } = this
    this.running = undefined
    if (running !== undefined) {
      this.abandon(running)
      await this.writes.settled()
    }
    if (this.closing !== undefined) throw storeClosed()
    this.name = this.options.newInstance()
    await this.open()
  }

  close(): Promise<void> {
    this.closing ??= this.shutDown()
    return this.closing
  }

  readiness(): Readiness {
    if (this.running === undefined || this.closing !== undefined)
      return { ready: false, reason: storeClosed().message }
    const { link, vigil } = this.running
    const { failure } = link
    if (failure !== undefined)
      return {
        ready: false,
        reason: failure.hint === undefined ? failure.message : `${failure.message} ${failure.hint}`,
      }
    return vigil.risks.length === 0 ? { ready: true } : { ready: true, warnings: vigil.risks }
  }

  async *sessions(): AsyncGenerator<SessionRecord> {
    const { link, layout } = this.whenOpen()
    await this.writes.settled()
    const owners = new Set<string>()
    for await (const record of readSessions(link, layout, this.events)) {
      if (record.openOn !== undefined && record.openOn !== this.name) owners.add(record.openOn)
      yield record
    }
    for (const owner of owners) await this.options.nodes?.suspect(owner)
  }

  openSession(clientId: string, options: OpenOptions): Promise<StoredSession> {
    return this.opened.open(clientId, options)
  }

  async discardSession(clientId: string): Promise<void> {
    await this.writes.ofClient(clientId, operations.discard(clientId, false))
    this.opened.handles.delete(clientId)
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
    yield* leftWills(parts, this.options.nodes)
  }

  async claim(clientId: string): Promise<ClientClaim> {
    const result = await this.writes.ofClient(clientId, operations.claim(clientId))
    const [epoch, former, willOf] = result as readonly [epoch: number, former: Buffer, willOf: Buffer]
    return { clientId, epoch, takenFrom: otherNode(former, this.name), willOf: otherNode(willOf, this.name) }
  }

  async yield(clientId: string, epoch: number): Promise<void> {
    await this.writes.ofClient(clientId, operations.yield(clientId, epoch))
  }

  async takeWill(clientId: string, from: string): Promise<StoredWill | undefined> {
    const value = await takeWill(this.writes, from, clientId)
    if (value === undefined) return undefined
    try {
      return decodeWill(value)
    } catch (error) {
      if (!(error instanceof DamagedValue)) throw error
      this.events.entryDamaged('will', clientId, error)
      return undefined
    }
  }

  async follow(listener: SessionChangeListener): Promise<void> {
    const { changes } = this.whenOpen()
    await changes.follow(this.options.connections, listener)
  }

  async caughtUp(): Promise<void> {
    await this.whenOpen().changes.caughtUp()
  }

  async adopt(instance: string): Promise<Adopted> {
    return adopt(this.adoptionParts(), instance)
  }

  private adoptionParts(): AdoptionParts {
    const { writes, events, instance } = this
    const { link, layout } = this.whenOpen()
    return { writes, link, layout, events, instance }
  }

  private async begin(): Promise<void> {
    const { clock, events, options } = this
    const started = clock.now()
    const { client, layout } = await openRedis(options, clock)
    const { writes, limits, name: instance } = this
    const { handles } = this.opened
    const { connections, waitReplicas } = options
    const onFenced = (): void => this.onFencedListener?.()
    const parts = { instance, client, layout, connections, waitReplicas, writes, handles, limits }
    const running = assemble({ ...parts, clock, events, onFenced })
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
      this.running = undefined
      this.abandon(running)
      throw error
    }
  }

  private abandon(running: Running): void {
    this.writes.close()
    release(running, this.options.connections)
    this.opened.handles.clear()
  }

  private async shutDown(): Promise<void> {
    // Nothing is let go of in the middle of its opening.
    await this.beginning?.catch(() => {})
    const { running } = this
    if (running === undefined) return
    const { link, partitions, vigil } = running
    vigil.stop()
    const timer = this.clock.schedule(PATIENCE_MS, () => release(running, this.options.connections))
    // What ends in one partition may have something follow in another.
    while (!partitions.every(({ isIdle }) => isIdle))
      await Promise.all(partitions.map((partition) => partition.idle()))
    this.writes.close()
    try {
      // Of a node that was taken over from, it is the mark that refuses its writes.
      if (!link.isFenced) await Promise.all(partitions.map((partition) => partition.forget()))
    } catch {
      // They go by themselves within the hour.
    }
    timer.cancel()
    this.abandon(running)
    this.running = undefined
  }

  private whenOpen(): Running {
    if (this.running === undefined || this.closing !== undefined) throw storeClosed()
    return this.running
  }
}
