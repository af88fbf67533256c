import type { Subscriber, Subscription, Target } from '../contract/router.js'
import { add, drop, find, type SmallMap } from './small-map.js'

/**
 * Topic filters as a tree of levels. Looking up a topic visits at most its own levels and the wildcards beside
 * them: the cost grows with the depth of the topic, not with the number of filters.
 *
 * Built to be small: a million four-level filters of 10,000 clients take 215 MB where only the last level is
 * distinct, and 405 MB where three levels are. Neither a filter's text nor the caller's `Subscription` is kept.
 */
export class SubscriptionTrie {
  private readonly root = new TrieNode('', undefined)
  private readonly levels = new Map<string, string>()

  /** The node of a filter (without share prefix), made when missing. */
  ensure(filter: string): TrieNode {
    let node = this.root
    for (let start = 0; start <= filter.length;) {
      const end = levelEnd(filter, start)
      const level = filter.slice(start, end)
      let child = node.child(level)
      if (child === undefined) {
        child = new TrieNode(this.intern(level), node)
        node.addChild(child)
      }
      node = child
      start = end + 1
    }
    return node
  }

  find(filter: string): TrieNode | undefined {
    let node: TrieNode | undefined = this.root
    for (let start = 0; node !== undefined && start <= filter.length;) {
      const end = levelEnd(filter, start)
      node = node.child(filter.slice(start, end))
      start = end + 1
    }
    return node
  }

  /** One string for all levels of the same text: `temperature` below a million devices takes 32 bytes, not 32 MB. */
  private intern(level: string): string {
    const known = this.levels.get(level)
    if (known !== undefined) return known
    // Names of metrics are few and come first; identifiers would only push them out.
    if (this.levels.size < INTERNED_LEVELS) this.levels.set(level, level)
    return level
  }

  /** Takes away nodes that no subscription needs any more, from this one upwards. */
  prune(node: TrieNode): void {
    while (node.parent !== undefined && node.empty) {
      node.parent.dropChild(node)
      node = node.parent
    }
  }

  /** Nodes whose filters match the topic name and which have subscriptions. */
  match(topic: string): TrieNode[] {
    const found: TrieNode[] = []
    const levels = topic.split('/')
    // Wildcards at the first level do not match topics that begin with `$` [MQTT-4.7.2-1].
    if (topic.startsWith('$')) {
      const child = this.root.child(levels[0] ?? '')
      if (child !== undefined) collect(child, levels, 1, found)
    } else {
      collect(this.root, levels, 0, found)
    }
    return found
  }
}

/** Adds what matches `levels` from `depth` on below the node. Recursion is bounded by the 100 levels of a topic. */
function collect(node: TrieNode, levels: readonly string[], depth: number, found: TrieNode[]): void {
  const level = levels[depth]
  if (level === undefined) {
    if (node.hasSubscriptions) found.push(node)
  } else {
    const child = node.child(level)
    if (child !== undefined) collect(child, levels, depth + 1, found)
    const plus = node.child('+')
    if (plus !== undefined && plus !== child) collect(plus, levels, depth + 1, found)
  }
  // `a/#` matches `a` too (4.7.1.2).
  const hash = node.child('#')
  if (hash !== undefined) found.push(hash)
}

/** Wildcard levels are children like the others, under `+` and `#`: a node of eight words instead of ten. */
export class TrieNode {
  /** Ordinary subscriptions to the filter that ends here. */
  entries: SmallMap<Owner, Entry> = undefined
  /** Share groups of that filter, by share name. */
  groups: SmallMap<string, ShareGroup> = undefined
  private children: SmallMap<string, TrieNode> = undefined

  constructor(
    /** The level. */
    readonly key: string,
    readonly parent: TrieNode | undefined,
  ) {}

  /** The filter that ends here. */
  get filter(): string {
    const above = this.parent
    return above?.parent === undefined ? this.key : `${above.filter}/${this.key}`
  }

  /** What other nodes are told of an ordinary subscription here. */
  get wantedFilter(): string {
    return this.filter
  }

  get hasSubscriptions(): boolean {
    return this.entries !== undefined || this.groups !== undefined
  }

  get empty(): boolean {
    return !this.hasSubscriptions && this.children === undefined
  }

  child(level: string): TrieNode | undefined {
    return find(this.children, level)
  }

  addChild(child: TrieNode): void {
    this.children = add(this.children, child)
  }

  dropChild(child: TrieNode): void {
    this.children = drop(this.children, child.key)
  }
}

/** A subscriber with all that it has subscribed to. */
export class Owner {
  readonly entries: Entry[] = []
  /** Targets without identifier, one a `PLAIN_DELIVERIES` slot: the same objects in every route. */
  plainTargets: (Target | undefined)[] | undefined = undefined

  constructor(readonly subscriber: Subscriber) {}

  add(entry: Entry): void {
    entry.index = this.entries.push(entry) - 1
  }

  drop(entry: Entry): void {
    const last = this.entries.pop()
    if (last === undefined || last === entry) return
    this.entries[entry.index] = last
    last.index = entry.index
  }
}

/** One subscription. Its options are packed into one small integer: a million of them take 8 MB, not 40. */
export class Entry {
  /** Place in `Owner.entries`. */
  index = 0
  private options = 0
  /** Subscription Identifier; 0: none (the range begins with 1). */
  identifier = 0

  constructor(
    readonly key: Owner,
    readonly place: TrieNode | ShareGroup,
    subscription: Subscription,
  ) {
    this.change(subscription)
  }

  change({ qos, noLocal, retainAsPublished, identifier, members = 1 }: Subscription): void {
    this.options =
      qos |
      (noLocal ? NO_LOCAL : 0) |
      (retainAsPublished ? RETAIN_AS_PUBLISHED : 0) |
      (Math.min(members, MOST_MEMBERS) << MEMBERS_SHIFT)
    this.identifier = identifier ?? 0
  }

  /** Turns in a share group. */
  get members(): number {
    return this.options >> MEMBERS_SHIFT
  }

  get qos(): number {
    return this.options & QOS
  }

  get noLocal(): boolean {
    return (this.options & NO_LOCAL) !== 0
  }

  get retainAsPublished(): boolean {
    return (this.options & RETAIN_AS_PUBLISHED) !== 0
  }
}

const INTERNED_LEVELS = 4_096
const QOS = 3
const NO_LOCAL = 4
const RETAIN_AS_PUBLISHED = 8
const MEMBERS_SHIFT = 4
const MOST_MEMBERS = 1_000_000

/**
 * The members of `$share/group/filter`, which take turns. Another node is one member, with as many turns at a time as
 * it has members: so each of them comes once in a round, on whichever node it is.
 */
export class ShareGroup {
  readonly members: Entry[] = []
  private next = 0
  /** Turns that the member at `next` has had in this round. */
  private turns = 0
  private nextHere = 0

  constructor(
    /** Share name. */
    readonly key: string,
    readonly node: TrieNode,
    /** `$share/group/filter` */
    readonly sharedFilter: string,
  ) {}

  find(owner: Owner): Entry | undefined {
    return this.members.find((member) => member.key === owner)
  }

  drop(entry: Entry): void {
    const index = this.members.indexOf(entry)
    if (index < 0) return
    this.members.splice(index, 1)
    if (index === this.next) this.turns = 0
    if (index < this.next) this.next--
    if (index < this.nextHere) this.nextHere--
  }

  /** What other nodes are told of a member here. */
  get wantedFilter(): string {
    return this.sharedFilter
  }

  /**
   * The member whose turn it is. Connected members take turns; only while none is connected does the message go
   * to one whose queue keeps it (`queued`: the message has QoS 1 or 2), so that it waits for nobody who may
   * never return while somebody is there to handle it.
   */
  choose(messageQos: number, except: Subscriber | undefined): Entry | undefined {
    const { members } = this
    let offline = -1
    for (let i = 0; i < members.length; i++) {
      const index = (this.next + i) % members.length
      const member = members[index]
      if (member === undefined || member.key.subscriber === except) continue
      const { subscriber } = member.key
      if (subscriber.online) {
        this.takeTurn(index, member)
        return member
      }
      if (offline < 0 && subscriber.durable && Math.min(messageQos, member.qos) > 0) offline = index
    }
    if (offline < 0) return undefined
    this.next = offline + 1
    this.turns = 0
    return members[offline]
  }

  /**
   * The member for a message that another node has given to this one: it counts on one that is connected here, and
   * the durable ones are there in case it has left meanwhile.
   */
  chooseHere(messageQos: number): Entry | undefined {
    const { members } = this
    let durable: Entry | undefined
    for (let i = 0; i < members.length; i++) {
      const index = (this.nextHere + i) % members.length
      const member = members[index]
      if (member === undefined || member.key.subscriber.node !== undefined) continue
      const { subscriber } = member.key
      if (!subscriber.durable && subscriber.online) {
        this.nextHere = index + 1
        return member
      }
      const takes = subscriber.durable && Math.min(messageQos, member.qos) > 0
      if (takes && (durable === undefined || (subscriber.online && !durable.key.subscriber.online)))
        durable = member
    }
    return durable
  }

  private takeTurn(index: number, member: Entry): void {
    const turns = index === this.next % this.members.length ? this.turns + 1 : 1
    const again = turns < member.members
    // Behind the last one comes whoever joins next.
    this.next = again ? index : index + 1
    this.turns = again ? turns : 0
  }
}

function levelEnd(filter: string, start: number): number {
  const slash = filter.indexOf('/', start)
  return slash < 0 ? filter.length : slash
}
