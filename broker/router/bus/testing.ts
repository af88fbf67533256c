import type {
  Addressees,
  Membership,
  MembershipWatcher,
  NodeListener,
  NodeQuestion,
  RedisPort,
} from '../../contract/cluster.js'
import { systemClock } from '../../contract/clock.js'
import type { BusEvents } from '../../contract/events.js'
import { Message, type MessageFields } from '../../contract/message.js'
import type { Router } from '../../contract/router.js'
import type { Delivery, Subscriber, Subscription } from '../../contract/subscription.js'
import { createRouter } from '../router.js'
import { ClusterBus, type ClusterBusParts } from './cluster-bus.js'
import { LocalInterest } from './local-interest.js'

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
  readonly damagedKeys: string[] = []
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

  interestDamaged(key: string): void {
    this.damagedKeys.push(key)
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
