import type { Interest } from '../contract/cluster.js'
import type { Message } from '../contract/message.js'
import type { Route, Router, Subscriber, Subscription, Target } from '../contract/router.js'
import { formatFilter } from '../contract/topic.js'
import { Match, sharedTarget } from './match.js'
import { add, drop, find } from './small-map.js'
import { Entry, Owner, ShareGroup, SubscriptionTrie, TrieNode } from './subscription-trie.js'
import { TopicMemory } from './topic-memory.js'

export interface RouterOptions {
  /** Topics whose routes are remembered, 1 upwards. One takes about 600 bytes with a handful of targets. */
  readonly rememberedTopics?: number
  /** Targets in all remembered routes, 1 upwards; one takes 8 bytes. */
  readonly rememberedTargets?: number
  /** Told the filters that subscribers on this node want, where there are other nodes to tell them. */
  readonly interest?: Pick<Interest, 'want' | 'unwant'>
}

const DEFAULT_TOPICS = 50_000
const DEFAULT_TARGETS = 4_000_000

/**
 * Subscriptions in memory. `route` answers from what it remembers of a topic without allocating, unless share
 * groups or the publisher's own No Local subscriptions take part; the returned routes are shared and must not be
 * modified. A route may name a subscriber that has unsubscribed since it was made.
 */
export function createRouter(options: RouterOptions = {}): Router {
  return new TrieRouter(options)
}

class TrieRouter implements Router {
  private readonly trie = new SubscriptionTrie()
  private readonly owners = new Map<Subscriber, Owner>()
  private readonly memory: TopicMemory<Match>
  private readonly interest: RouterOptions['interest']
  /** Durable subscribers that are connected here. Weakly held: their owner forgets them without a word. */
  private readonly arrivals = new WeakSet<Subscriber>()
  private subscriptions = 0

  constructor(options: RouterOptions) {
    this.interest = options.interest
    this.memory = new TopicMemory<Match>({
      topics: options.rememberedTopics ?? DEFAULT_TOPICS,
      targets: options.rememberedTargets ?? DEFAULT_TARGETS,
    })
  }

  get subscriptionCount(): number {
    return this.subscriptions
  }

  subscribe(subscriber: Subscriber, subscription: Subscription): void {
    const { filter, share } = subscription
    let owner = this.owners.get(subscriber)
    if (owner === undefined) this.owners.set(subscriber, (owner = new Owner(subscriber)))
    const node = this.trie.ensure(filter)
    if (share !== undefined) {
      this.joinGroup(owner, node, share, subscription)
      return
    }
    this.memory.forget(filter)
    const present = find(node.entries, owner)
    if (present !== undefined) {
      present.change(subscription)
      return
    }
    const entry = new Entry(owner, node, subscription)
    node.entries = add(node.entries, entry)
    owner.add(entry)
    this.added(entry)
  }

  unsubscribe(subscriber: Subscriber, filter: string, share: string | undefined): void {
    const owner = this.owners.get(subscriber)
    const node = this.trie.find(filter)
    if (owner === undefined || node === undefined) return
    const entry = share === undefined ? find(node.entries, owner) : find(node.groups, share)?.find(owner)
    if (entry === undefined) return
    owner.drop(entry)
    this.take(entry)
    if (owner.entries.length === 0) this.owners.delete(subscriber)
  }

  remove(subscriber: Subscriber): void {
    const owner = this.owners.get(subscriber)
    if (owner === undefined) return
    this.owners.delete(subscriber)
    for (const entry of owner.entries) this.take(entry)
  }

  route(message: Message): Route {
    const match = this.matchOf(message.topic)
    return match.complete(this.ordinary(match, message), message)
  }

  routeHere(message: Message): Route {
    const match = this.matchOf(message.topic)
    const remembered = match.rememberedHere(message)
    if (remembered !== undefined) return remembered
    const route = match.makeHere(this.ordinary(match, message), message)
    this.memory.charge(message.topic, route.targets.length)
    return route
  }

  reroute(message: Message, sharedFilter: string, former: Subscriber): Target | undefined {
    const group = this.groupOf(sharedFilter)
    return group === undefined ? undefined : sharedTarget(group, group.choose(message.qos, former), message)
  }

  shareHere(message: Message, sharedFilter: string): Target | undefined {
    const group = this.groupOf(sharedFilter)
    return group === undefined ? undefined : sharedTarget(group, group.chooseHere(message.qos), message)
  }

  arrived(subscriber: Subscriber): void {
    if (this.interest === undefined || !subscriber.durable || this.arrivals.has(subscriber)) return
    this.arrivals.add(subscriber)
    for (const entry of this.owners.get(subscriber)?.entries ?? []) this.want(entry)
  }

  departed(subscriber: Subscriber): void {
    if (!this.arrivals.has(subscriber)) return
    for (const entry of this.owners.get(subscriber)?.entries ?? []) this.unwant(entry)
    this.arrivals.delete(subscriber)
  }

  private matchOf(topic: string): Match {
    let match = this.memory.get(topic)
    if (match === undefined) {
      match = new Match(this.trie.match(topic))
      this.memory.remember(topic, match)
    }
    return match
  }

  /** The route without share groups and No Local. */
  private ordinary(match: Match, message: Message): Route {
    let route = match.remembered(message)
    if (route === undefined) {
      route = match.make(message)
      this.memory.charge(message.topic, route.targets.length)
    }
    return route
  }

  private groupOf(sharedFilter: string): ShareGroup | undefined {
    const parsed = parseShared(sharedFilter)
    return parsed === undefined ? undefined : find(this.trie.find(parsed.filter)?.groups, parsed.share)
  }

  /** What other nodes want is no subscription of a client, and is not counted as one. */
  private added(entry: Entry): void {
    if (entry.key.subscriber.node === undefined) this.subscriptions++
    this.want(entry)
  }

  private want(entry: Entry): void {
    if (this.interest !== undefined && this.isOfInterest(entry)) this.interest.want(entry.place.wantedFilter)
  }

  private unwant(entry: Entry): void {
    if (this.interest !== undefined && this.isOfInterest(entry))
      this.interest.unwant(entry.place.wantedFilter)
  }

  /** Members of share groups that are durable are chosen by every node itself. */
  private isOfInterest({ key: { subscriber }, place }: Entry): boolean {
    if (subscriber.node !== undefined) return false
    return !subscriber.durable || (place instanceof TrieNode && this.arrivals.has(subscriber))
  }

  /** Who joins or leaves a group changes no remembered match: it holds the group, whose members are read each time. */
  private joinGroup(owner: Owner, node: TrieNode, share: string, subscription: Subscription): void {
    let group = find(node.groups, share)
    if (group === undefined) {
      this.memory.forget(subscription.filter)
      group = new ShareGroup(share, node, formatFilter(subscription))
      node.groups = add(node.groups, group)
    }
    const present = group.find(owner)
    if (present !== undefined) {
      present.change(subscription)
      return
    }
    const entry = new Entry(owner, group, subscription)
    group.members.push(entry)
    owner.add(entry)
    this.added(entry)
  }

  /** Takes the entry out of the trie. */
  private take(entry: Entry): void {
    if (entry.key.subscriber.node === undefined) this.subscriptions--
    this.unwant(entry)
    const { place } = entry
    if (place instanceof TrieNode) {
      this.memory.forget(place.filter)
      place.entries = drop(place.entries, entry.key)
      this.trie.prune(place)
      return
    }
    place.drop(entry)
    if (place.members.length > 0) return
    this.memory.forget(place.node.filter)
    place.node.groups = drop(place.node.groups, place.key)
    this.trie.prune(place.node)
  }
}

function parseShared(sharedFilter: string): { share: string; filter: string } | undefined {
  const match = /^\$share\/([^/]+)\/(.+)$/s.exec(sharedFilter)
  return match?.[1] === undefined || match[2] === undefined
    ? undefined
    : { share: match[1], filter: match[2] }
}
