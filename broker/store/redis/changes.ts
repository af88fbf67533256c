import type { Clock, Timer } from '../../contract/clock.js'
import type { SessionChange, SessionChangeListener } from '../../contract/store.js'
import type { Subscription } from '../../contract/subscription.js'
import type { StoreEvents } from '../../contract/events.js'
import { decodeSubscription } from '../values.js'
import type { RedisClient, RedisConnections } from './connection.js'
import type { Layout } from './layout.js'
import { script, type RedisLink } from './link.js'
import { textOf, unpack, type Unpacked } from './message-pack.js'
import type { RetainedInfo, RetainedTopics } from './retained-topics.js'
import { refusedRight } from './suitability.js'
import { READ_CHANGES } from './lua/reads.js'

const SCRIPT = script(READ_CHANGES)
/** Topics of a page when the retained topics of a partition are read anew. */
const PAGE = 2_000
/** How long a look for changes may wait for Redis, milliseconds. */
const PATIENCE_MS = 5_000
/** Between two looks at the log while changes are followed, milliseconds. */
const LOOK_MS = 1_000

/**
 * Follows what other nodes change: the topics of retained messages, and the subscriptions of sessions.
 *
 * Every change has a number in its partition. It comes by whichever way is first (the reply to an own batch, an
 * announcement, a look at the log) and counts once, in order. When a number is missing the log is read, and
 * when the log does not reach back, the partition: a lost announcement costs time and nothing else.
 */
export class Changes {
  private readonly versions: number[]
  /** The last change of each partition that was heard of, in order or not. */
  private readonly heard: number[]
  /** Partitions whose log is being read since a number was missing. */
  private readonly filling = new Set<number>()
  /** Partitions whose topics are being read anew. */
  private readonly loading = new Map<number, Promise<void>>()
  private subscriber: RedisClient | undefined
  private listener: SessionChangeListener | undefined
  private looking: Promise<void> | undefined
  private nextLook: Promise<void> | undefined
  private timer: Timer | undefined
  private stopped = false

  constructor(
    private readonly link: RedisLink,
    private readonly layout: Layout,
    private readonly topics: RetainedTopics,
    private readonly node: string,
    private readonly clock: Clock,
    private readonly events: StoreEvents,
  ) {
    this.versions = Array.from({ length: layout.partitions }, () => 0)
    this.heard = [...this.versions]
  }

  /** Reads the topics of all retained messages. */
  async load(): Promise<void> {
    await Promise.all(this.versions.map((_, partition) => this.reload(partition)))
  }

  /** Resolves when everything that was written before the call is known here. */
  caughtUp(): Promise<void> {
    if (this.looking === undefined) return (this.looking = this.look())
    // The look under way may have passed what the caller must see: the next one serves all who come meanwhile.
    return (this.nextLook ??= this.looking.then(
      () => this.lookAgain(),
      () => this.lookAgain(),
    ))
  }

  /** Tells changes of sessions by other nodes as they come, from now on. */
  async follow(connections: RedisConnections, listener: SessionChangeListener): Promise<void> {
    this.listener = listener
    const subscriber = connections.open('changes', { timeout: false })
    this.subscriber = subscriber
    subscriber.on('messageBuffer', (_channel: Buffer, message: Buffer) => this.announced(message))
    await connections.ready(subscriber)
    try {
      await subscriber.subscribe(this.layout.channel)
    } catch (error) {
      throw refusedRight(error, connections, this.layout.prefix)
    }
    subscriber.on('ready', () => {
      subscriber.subscribe(this.layout.channel).catch(() => {
        // The connection is gone again; what is not announced is found in the log.
      })
    })
    await this.caughtUp()
    this.lookLater()
  }

  /** Whatever was not announced, for the connection was away, is found in the log a moment later. */
  private lookLater(): void {
    if (this.stopped) return
    this.timer = this.clock.schedule(LOOK_MS, () => {
      this.caughtUp().then(
        () => this.lookLater(),
        () => this.lookLater(),
      )
    })
  }

  stop(connections: RedisConnections): void {
    this.stopped = true
    this.timer?.cancel()
    if (this.subscriber !== undefined) connections.end(this.subscriber)
  }

  /** A change is known, from wherever. Out of order: the log is read. */
  change(partition: number, version: number, packed: Buffer): void {
    const known = this.versions[partition] ?? 0
    if (version <= known || this.loading.has(partition)) return
    this.heard[partition] = Math.max(version, this.heard[partition] ?? 0)
    if (version > known + 1) {
      void this.fill(partition)
      return
    }
    this.versions[partition] = version
    this.apply(packed)
  }

  /**
   * Reads the log for as long as that brings what is missing: once for all that comes out of order meanwhile. Between
   * busy nodes that is common: the reply to a batch overtakes the announcements of what came before it.
   */
  private async fill(partition: number): Promise<void> {
    if (this.filling.has(partition)) return
    this.filling.add(partition)
    const known = (): number => this.versions[partition] ?? 0
    try {
      let before: number
      do {
        before = known()
        await this.read(partition)
      } while (known() > before && known() < (this.heard[partition] ?? 0))
    } catch {
      // The next look comes across it.
    } finally {
      this.filling.delete(partition)
    }
  }

  private announced(message: Buffer): void {
    // A node that starts tries whether it may publish.
    if (message.length === 0) return
    const [partition, version, packed] = this.unpacked(message)
    if (typeof partition === 'number' && typeof version === 'number' && Buffer.isBuffer(packed))
      this.change(partition, version, packed)
  }

  private lookAgain(): Promise<void> {
    this.nextLook = undefined
    return (this.looking = this.look())
  }

  private async look(): Promise<void> {
    try {
      await Promise.all(this.versions.map((_, partition) => this.read(partition)))
    } finally {
      this.looking = undefined
    }
  }

  private async read(partition: number): Promise<void> {
    // Changes that are told meanwhile are passed over: what it leaves out is in the log behind it.
    if (this.loading.has(partition)) await this.loading.get(partition)
    const base = this.layout.base(partition)
    const after = this.versions[partition] ?? 0
    const reply = await this.link.untilAnswered(
      () => this.link.run(SCRIPT, `${base}log`, base, after),
      PATIENCE_MS,
    )
    const [version, bytes, changes] = this.unpacked(reply as Buffer)
    if (typeof version !== 'number' || typeof bytes !== 'number') return
    if (!Array.isArray(changes)) {
      await this.reload(partition)
      this.listener?.missed()
      return
    }
    for (const [i, packed] of changes.entries())
      if (Buffer.isBuffer(packed)) this.change(partition, after + 1 + i, packed)
    this.topics.setBytes(partition, bytes)
  }

  private reload(partition: number): Promise<void> {
    const underWay = this.loading.get(partition)
    if (underWay !== undefined) return underWay
    const loading = this.readTopics(partition).finally(() => this.loading.delete(partition))
    this.loading.set(partition, loading)
    return loading
  }

  /** Reads the topics of a partition anew. What changes meanwhile is in the log behind the version read first. */
  private async readTopics(partition: number): Promise<void> {
    const base = this.layout.base(partition)
    const counters = await this.link.untilAnswered(
      () => this.link.command('hmget', `${base}meta`, 'version', 'bytes'),
      PATIENCE_MS,
    )
    const [version, bytes] = (counters as readonly (Buffer | null)[]).map((value) => Number(value ?? 0))
    const read = new Map<string, RetainedInfo>()
    let cursor = '0'
    do {
      const page = await this.link.untilAnswered(
        () => this.link.command('hscan', `${base}topics`, cursor, 'COUNT', PAGE),
        PATIENCE_MS,
      )
      const [next, found] = page as [Buffer, readonly Buffer[]]
      for (let i = 0; i + 1 < found.length; i += 2) read.set(String(found[i]), infoOf(String(found[i + 1])))
      cursor = String(next)
    } while (cursor !== '0')
    this.topics.replace(read, (topic) => this.layout.partitionOf(topic) === partition)
    this.topics.setBytes(partition, bytes ?? 0)
    this.versions[partition] = this.heard[partition] = version ?? 0
  }

  private apply(packed: Buffer): void {
    const [node, kind, name, ...more] = this.unpacked(packed)
    if (!Buffer.isBuffer(name)) return
    switch (textOf(kind)) {
      case 'retained':
        this.topics.apply(name.toString(), {
          size: Number(more[0]),
          expiresAt: typeof more[1] === 'number' ? more[1] : undefined,
        })
        return
      case 'cleared':
        this.topics.apply(name.toString(), undefined)
        return
      default:
        if (this.listener === undefined || textOf(node) === this.node) return
        this.tell(textOf(kind), name.toString(), textOf(node), more[0])
    }
  }

  private tell(kind: string, clientId: string, node: string, content: Unpacked | undefined): void {
    const change = this.sessionChange(kind, clientId, node, content)
    if (change !== undefined) this.listener?.changed(change)
  }

  private sessionChange(
    kind: string,
    clientId: string,
    node: string,
    content: Unpacked | undefined,
  ): SessionChange | undefined {
    const items = Array.isArray(content) ? (content as readonly Unpacked[]) : []
    if (kind === 'ended' || kind === 'closed') return { kind, clientId }
    if (kind === 'opened') return { kind, clientId, node }
    if (kind === 'unsubscribed') return { kind, clientId, filters: items.map(textOf) }
    if (kind !== 'subscribed') return undefined
    const subscriptions: Subscription[] = []
    for (let i = 1; i < items.length; i += 2) {
      try {
        subscriptions.push(decodeSubscription(items[i] as Buffer))
      } catch (error) {
        this.events.entryDamaged('announced subscription', clientId, error as Error)
      }
    }
    return { kind, clientId, subscriptions, node }
  }

  private unpacked(bytes: Buffer): readonly Unpacked[] {
    try {
      const value = unpack(bytes)
      return Array.isArray(value) ? (value as readonly Unpacked[]) : []
    } catch (error) {
      this.events.entryDamaged('announced change', this.layout.channel, error as Error)
      return []
    }
  }
}

function infoOf(text: string): RetainedInfo {
  const [size, expiry] = text.split(' ')
  const expiresAt = Number(expiry)
  return { size: Number(size) || 0, expiresAt: Number.isFinite(expiresAt) ? expiresAt : undefined }
}
