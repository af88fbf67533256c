import type { Addressees, MembershipWatcher, NodeListener, NodeQuestion } from '../../contract/cluster.js'
import type {
  Membership,
  RedisArgument,
  RedisCommands,
  RedisPort,
  RedisReply,
} from '../../contract/cluster.js'
import { systemClock } from '../../contract/clock.js'
import type { BusEvents } from '../../contract/events.js'
import { Message, type MessageFields } from '../../contract/message.js'
import type { Router } from '../../contract/router.js'
import type { Delivery, Subscriber, Subscription } from '../../contract/subscription.js'
import { createRouter } from '../router.js'
import { CREATE_STREAM, RENEW_STREAM, WRITE_INTEREST } from './bus-scripts.js'
import { ClusterBus, type ClusterBusParts } from './cluster-bus.js'
import { LocalInterest } from './local-interest.js'

interface Stream {
  entries: { id: number; values: readonly Buffer[] }[]
  last: number
}

/** What happens to a command: carried out and answered, lost on its way, or lost on its way back. */
export type Fate = 'answered' | 'lost' | 'unanswered'

/** Whatever a read asks for. */
const BLOCK_MS = 30

/** As much of Redis as the bus uses, in memory. A stream ID is `<n>-0`. */
export class FakeRedis implements RedisPort {
  readonly keyPrefix = 'test'
  readonly streams = new Map<string, Stream>()
  readonly hashes = new Map<string, Map<string, string>>()
  /** How long a stream lives on when nobody renews it, seconds. */
  readonly lifetimes = new Map<string, number>()
  /** Asked of every command; may be replaced by a test. */
  fate: (name: string, args: readonly RedisArgument[]) => Fate = () => 'answered'
  process = 'a'
  private readonly readers = new Set<() => void>()
  private readonly connections = new Set<Set<(error: Error) => void>>()
  private readonly readyListeners = new Set<() => void>()

  open(): RedisCommands {
    let closed = false
    const pending = new Set<(error: Error) => void>()
    this.connections.add(pending)
    const guarded = async (
      name: string,
      args: readonly RedisArgument[],
      run: () => RedisReply | Promise<RedisReply>,
    ): Promise<RedisReply> => {
      if (closed) throw new Error('the connection is closed')
      const fate = this.fate(name, args)
      if (fate === 'lost') throw new Error('the connection was cut')
      return new Promise<RedisReply>((resolve, reject) => {
        pending.add(reject)
        const answer = async (): Promise<RedisReply> => run()
        answer()
          .then((reply) => {
            if (fate === 'unanswered') reject(new Error('the connection was cut'))
            else resolve(reply)
          }, reject)
          .finally(() => pending.delete(reject))
      })
    }
    return {
      connected: true,
      ready: () => Promise.resolve(),
      command: (name, ...args) => guarded(name, args, () => this.run(name, args)),
      script: (source, key, ...args) => guarded('script', args, () => this.script(source, key, args)),
      onReady: (listener) => void this.readyListeners.add(listener),
      close: () => {
        closed = true
        this.connections.delete(pending)
        for (const reject of pending) reject(new Error('the connection is closed'))
      },
    }
  }

  /** Cuts all connections; what is under way is carried out, and nobody hears of it. */
  cut(): void {
    for (const pending of this.connections)
      for (const reject of pending) reject(new Error('the connection was cut'))
  }

  /** Every connection is usable again. */
  reconnect(): void {
    for (const listener of this.readyListeners) listener()
  }

  /** Loses everything, as a restart without persistence does. */
  flush(): void {
    this.streams.clear()
    this.hashes.clear()
  }

  get keys(): string[] {
    return [...this.streams.keys(), ...this.hashes.keys()].sort()
  }

  append(key: string, ...values: readonly Buffer[]): void {
    const stream = this.streams.get(key)
    if (stream === undefined) return
    stream.entries.push({ id: ++stream.last, values })
    for (const wake of [...this.readers]) wake()
  }

  private run(name: string, args: readonly RedisArgument[]): RedisReply | Promise<RedisReply> {
    const key = String(args[0])
    switch (name) {
      case 'xadd': {
        if (!this.streams.has(key)) return null
        this.append(
          key,
          ...args
            .slice(6)
            .filter((_, i) => i % 2 === 1)
            .map((each) => each as Buffer),
        )
        return Buffer.from('1-0')
      }
      case 'xread':
        return this.read(String(args[5]), Number.parseInt(String(args[6])), Number(args[1]))
      case 'xtrim': {
        const stream = this.streams.get(key)
        if (stream === undefined) return 0
        const from = Number.parseInt(String(args[2]))
        stream.entries = stream.entries.filter(({ id }) => id > from)
        return 1
      }
      case 'hget': {
        const value = this.hashes.get(key)?.get(String(args[1]))
        return value === undefined ? null : Buffer.from(value)
      }
      case 'hscan':
        return [Buffer.from('0'), [...(this.hashes.get(key) ?? [])].flat().map((each) => Buffer.from(each))]
      case 'del':
        for (const each of args) {
          this.streams.delete(String(each))
          this.hashes.delete(String(each))
        }
        return 1
      default:
        throw new Error(`the fake knows no ${name}`)
    }
  }

  private script(source: string, key: string, args: readonly RedisArgument[]): RedisReply {
    if (source === CREATE_STREAM) {
      this.streams.set(key, { entries: [], last: 1 })
      this.lifetimes.set(key, Number(args[0]))
      return Buffer.from('1-0')
    }
    if (source === RENEW_STREAM) {
      const stream = this.streams.get(key)
      this.lifetimes.set(key, Number(args[1]))
      return stream === undefined ? null : [Buffer.from(`${stream.last}-0`), Buffer.from(this.process)]
    }
    if (source !== WRITE_INTEREST) throw new Error('the fake knows no such script')
    if (!this.streams.has(String(args[0]))) return 0
    if (args[1] === 1) this.hashes.delete(key)
    const hash = this.hashes.get(key) ?? new Map<string, string>()
    this.hashes.set(key, hash)
    for (let i = 3; i < args.length; i += 2) {
      const field = `f${String(args[i])}`
      if (args[i + 1] === 0) hash.delete(field)
      else hash.set(field, String(args[i + 1]))
    }
    if (args[2] !== '') hash.set('version', String(args[2]))
    return 1
  }

  private async read(key: string, after: number, count: number): Promise<RedisReply> {
    const found = (): RedisReply[] =>
      (this.streams.get(key)?.entries ?? [])
        .filter(({ id }) => id > after)
        .slice(0, count)
        .map(({ id, values }) => [Buffer.from(`${id}-0`), values.flatMap((each) => [Buffer.from('e'), each])])
    let entries = found()
    if (entries.length === 0) {
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          clearTimeout(timer)
          this.readers.delete(wake)
          resolve()
        }
        const timer = setTimeout(wake, BLOCK_MS)
        this.readers.add(wake)
      })
      entries = found()
    }
    if (entries.length === 0) return null
    return [[Buffer.from(key), entries]]
  }
}

/** All nodes of a test: who is a member is what the test says. */
export class FakeCluster {
  private readonly memberships = new Set<FakeMembership>()

  join(name: string): FakeMembership {
    const membership = new FakeMembership(name)
    for (const other of this.memberships) {
      membership.others.add(other.self)
      other.others.add(name)
      for (const watcher of other.watchers) watcher.joined?.(name)
    }
    this.memberships.add(membership)
    return membership
  }

  leave(name: string): void {
    for (const each of this.memberships) if (each.self === name) this.memberships.delete(each)
    for (const other of this.memberships) {
      other.others.delete(name)
      for (const watcher of other.watchers) watcher.left?.(name)
    }
  }

  /** The node was taken for dead, and joins again under another name. */
  async replace(membership: FakeMembership, name: string): Promise<void> {
    this.leave(membership.self)
    for (const watcher of membership.watchers) await watcher.expelled?.()
    membership.self = name
    membership.others.clear()
    for (const other of this.memberships) {
      membership.others.add(other.self)
      other.others.add(name)
    }
    this.memberships.add(membership)
    for (const watcher of membership.watchers) await watcher.rejoined?.()
    for (const other of this.memberships)
      if (other !== membership) for (const watcher of other.watchers) watcher.joined?.(name)
  }
}

export class FakeMembership implements Membership {
  readonly others = new Set<string>()
  readonly watchers = new Set<MembershipWatcher>()

  constructor(public self: string) {}

  watch(watcher: MembershipWatcher): () => void {
    this.watchers.add(watcher)
    return () => this.watchers.delete(watcher)
  }
}

/** Counts what it is told. */
export class BusRecord implements BusEvents {
  items = 0
  written = 0
  read = 0
  readonly damaged: Error[] = []
  readonly missed: (string | undefined)[] = []
  readonly dropped: string[] = []
  failing = 0
  recovered = 0

  entryWritten(): void {
    this.written++
  }

  entryRead(items: number): void {
    this.read++
    this.items += items
  }

  busEntryDamaged(error: Error): void {
    this.damaged.push(error)
  }

  busEntriesMissed(node: string | undefined): void {
    this.missed.push(node)
  }

  busDropped(reason: string, count: number): void {
    this.dropped.push(`${reason} ${count}`)
  }

  busFailed(): void {
    this.failing++
  }

  busRecovered(): void {
    this.recovered++
  }
}

export class Inbox implements Subscriber {
  readonly received: string[] = []
  online = true

  constructor(
    readonly clientId: string,
    readonly durable = false,
  ) {}

  deliver(message: Message): void {
    this.received.push(message.payload.toString())
  }
}

/** A node as the session layer makes one: what comes in is routed to the inboxes that are here. */
export class TestNode implements NodeListener {
  readonly interest = new LocalInterest()
  readonly router: Router = createRouter({ interest: this.interest })
  readonly events = new BusRecord()
  readonly bus: ClusterBus
  readonly messages: { from: string; message: Message; addressees: Addressees }[] = []
  readonly questions: NodeQuestion[] = []
  readonly missedFrom: (string | undefined)[] = []
  readonly defects: unknown[] = []
  /** What a question waits for. */
  whenAsked: () => Promise<void> = () => Promise.resolve()

  constructor(
    readonly membership: FakeMembership,
    redis: RedisPort,
    options: Partial<ClusterBusParts> = {},
  ) {
    const { interest, router, events } = this
    const onDefect = (error: unknown): void => void this.defects.push(error)
    const parts = { membership, redis, router, interest, clock: systemClock, events, onDefect }
    this.bus = new ClusterBus({ ...parts, ...options })
    this.bus.listen(this)
  }

  subscribe(inbox: Inbox, filter: string, fields: Partial<Subscription> = {}): void {
    this.router.subscribe(inbox, subscriptionTo(filter, fields))
  }

  /** As the engine emits: every target of the route. */
  publish(message: Message): number {
    const { targets } = this.router.route(message)
    for (const { subscriber, delivery } of targets) subscriber.deliver(message, delivery, undefined)
    return targets.length
  }

  message(from: string, message: Message, addressees: Addressees): void {
    this.messages.push({ from, message, addressees })
    if (addressees.all) for (const target of this.router.routeHere(message).targets) deliver(message, target)
    for (const filter of addressees.sharedFilters) {
      const target = this.router.shareHere(message, filter)
      if (target !== undefined) deliver(message, target)
    }
  }

  async asked(_from: string, question: NodeQuestion): Promise<void> {
    this.questions.push(question)
    await this.whenAsked()
  }

  missed(from: string | undefined): void {
    this.missedFrom.push(from)
  }
}

function deliver(
  message: Message,
  { subscriber, delivery }: { subscriber: Subscriber; delivery: Delivery },
): void {
  subscriber.deliver(message, delivery, undefined)
}

export function subscriptionTo(filter: string, fields: Partial<Subscription> = {}): Subscription {
  return {
    filter,
    share: undefined,
    qos: 2,
    noLocal: false,
    retainAsPublished: false,
    retainHandling: 0,
    identifier: undefined,
    ...fields,
  }
}

export function message(topic: string, payload = topic, fields: Partial<MessageFields> = {}): Message {
  return new Message({
    topic,
    payload: Buffer.from(payload),
    qos: 0,
    retain: false,
    receivedAt: 1_700_000_000_000,
    ...fields,
  })
}

/** Repeats a look until it finds what it waits for; the test's own timeout ends it. */
export async function until(look: () => boolean): Promise<void> {
  while (!look()) await new Promise((resolve) => setTimeout(resolve, 2))
}
