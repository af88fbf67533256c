import type { Message } from '../contract/message.js'
import type { Delivery, Route, Target } from '../contract/router.js'
import { forEach } from './small-map.js'
import type { Entry, Owner, ShareGroup, TrieNode } from './subscription-trie.js'

/**
 * What one topic name matched, with the routes already made from it: one for each QoS and retain flag that a
 * message can have. Valid until a filter that matches the topic changes; share groups are chosen from a message
 * at a time.
 */
export class Match {
  private readonly owners: readonly (Entry | readonly Entry[])[]
  private readonly groups: readonly ShareGroup[]
  /** Client identifiers with a No Local subscription among the matching ones. */
  private readonly noLocal: ReadonlySet<string> | undefined
  private readonly routes: (Route | undefined)[] = [
    undefined,
    undefined,
    undefined,
    undefined,
    undefined,
    undefined,
  ]
  /** The same for messages that other nodes forward. */
  private routesHere: (Route | undefined)[] | undefined = undefined

  constructor(nodes: readonly TrieNode[]) {
    const groups: ShareGroup[] = []
    for (const node of nodes) forEach(node.groups, (group) => groups.push(group))
    this.groups = groups
    this.owners = nodes.length === 1 ? single(nodes) : merge(nodes)
    let noLocal: Set<string> | undefined
    for (const owner of this.owners)
      for (const entry of asList(owner))
        if (entry.noLocal) (noLocal ??= new Set()).add(entry.key.subscriber.clientId)
    this.noLocal = noLocal
  }

  /** The route made earlier for messages of that QoS and retain flag. */
  remembered(message: Message): Route | undefined {
    return this.routes[variant(message)]
  }

  /** Makes that route and remembers it. Share groups and No Local are not in it. */
  make(message: Message): Route {
    const route =
      this.owners.length === 0
        ? EMPTY
        : { targets: this.owners.map((owner) => ordinaryTarget(asList(owner), message)) }
    this.routes[variant(message)] = route
    return route
  }

  /** The route for this very message: without what No Local hides from its publisher, with a member of each group. */
  complete(route: Route, message: Message): Route {
    const { publisherId } = message
    const own = this.hidesFrom(publisherId) ? this.withoutLocal(route, message, publisherId) : route
    return this.groups.length === 0 ? own : this.withGroups(own, message)
  }

  /** The route on this node made earlier for forwarded messages of that QoS and retain flag. */
  rememberedHere(message: Message): Route | undefined {
    return this.hidesFrom(message.publisherId) ? undefined : this.routesHere?.[variant(message)]
  }

  /** Makes it of the route of all nodes, and remembers it unless No Local hides a part. */
  makeHere(route: Route, message: Message): Route {
    const { publisherId } = message
    if (this.hidesFrom(publisherId))
      return { targets: this.withoutLocal(route, message, publisherId).targets.filter(isHere) }
    return ((this.routesHere ??= [])[variant(message)] = { targets: route.targets.filter(isHere) })
  }

  private hidesFrom(publisherId: string | undefined): publisherId is string {
    return publisherId !== undefined && this.noLocal?.has(publisherId) === true
  }

  /** The subscriptions of the publisher that have No Local do not match its own message [MQTT-3.8.3-3]. */
  private withoutLocal(route: Route, message: Message, publisherId: string): Route {
    const targets = route.targets.filter((target) => target.subscriber.clientId !== publisherId)
    for (const owner of this.owners) {
      const entries = asList(owner)
      if (entries[0]?.key.subscriber.clientId !== publisherId) continue
      const others = entries.filter((entry) => !entry.noLocal)
      if (others.length > 0) targets.push(ordinaryTarget(others, message))
    }
    return { targets }
  }

  private withGroups(route: Route, message: Message): Route {
    const targets = route.targets.slice()
    for (const group of this.groups) {
      const target = sharedTarget(group, group.choose(message.qos, undefined), message)
      if (target !== undefined) targets.push(target)
    }
    return { targets }
  }
}

/** The target of a share group with the member that was chosen. */
export function sharedTarget(
  group: ShareGroup,
  entry: Entry | undefined,
  message: Message,
): Target | undefined {
  if (entry === undefined) return undefined
  const { qos, retain } = plainDelivery([entry], message)
  const identifiers = identifiersOf([entry])
  return {
    subscriber: entry.key.subscriber,
    delivery: { qos, retain, identifiers, sharedFilter: group.sharedFilter },
  }
}

/** Whether a message forwarded by another node is for this target: above QoS 0 a durable one finds it in its queue. */
function isHere({ subscriber, delivery }: Target): boolean {
  return subscriber.node === undefined && !(subscriber.durable && delivery.qos > 0)
}

function variant(message: Message): number {
  return message.qos * 2 + (message.retain ? 1 : 0)
}

const EMPTY: Route = { targets: [] }
const NO_IDENTIFIERS: readonly number[] = []

/** Deliveries without identifiers and share group, by QoS and retain flag: the same six objects for everybody. */
const PLAIN_DELIVERIES: readonly Delivery[] = ([0, 1, 2] as const).flatMap((qos) =>
  [false, true].map((retain) => ({ qos, retain, identifiers: NO_IDENTIFIERS, sharedFilter: undefined })),
)

function single(nodes: readonly TrieNode[]): readonly Entry[] {
  const entries: Entry[] = []
  for (const node of nodes) forEach(node.entries, (entry) => entries.push(entry))
  return entries
}

/** The entries of several nodes by owner: a session whose filters overlap gets one copy [MQTT-3.3.4-2]. */
function merge(nodes: readonly TrieNode[]): readonly (Entry | readonly Entry[])[] {
  const byOwner = new Map<Owner, Entry | Entry[]>()
  for (const node of nodes)
    forEach(node.entries, (entry) => {
      const present = byOwner.get(entry.key)
      if (present === undefined) byOwner.set(entry.key, entry)
      else if (Array.isArray(present)) present.push(entry)
      else byOwner.set(entry.key, [present, entry])
    })
  return [...byOwner.values()]
}

function asList(entries: Entry | readonly Entry[]): readonly Entry[] {
  return 'key' in entries ? [entries] : entries
}

function ordinaryTarget(entries: readonly Entry[], message: Message): Target {
  const delivery = plainDelivery(entries, message)
  const owner = entries[0]?.key
  if (owner === undefined) throw new RangeError('a target needs a subscription')
  const identifiers = identifiersOf(entries)
  if (identifiers !== NO_IDENTIFIERS)
    return {
      subscriber: owner.subscriber,
      delivery: { qos: delivery.qos, retain: delivery.retain, identifiers, sharedFilter: undefined },
    }
  const targets = (owner.plainTargets ??= [])
  return (targets[PLAIN_DELIVERIES.indexOf(delivery)] ??= { subscriber: owner.subscriber, delivery })
}

/** Highest QoS of the subscriptions, no higher than the message's; the retain flag where one of them keeps it. */
function plainDelivery(entries: readonly Entry[], message: Message): Delivery {
  let qos = 0
  let retain = false
  for (const entry of entries) {
    if (entry.qos > qos) qos = entry.qos
    retain ||= message.retain && entry.retainAsPublished
  }
  const delivery = PLAIN_DELIVERIES[Math.min(qos, message.qos) * 2 + (retain ? 1 : 0)]
  if (delivery === undefined) throw new RangeError(`no such QoS: ${qos}`)
  return delivery
}

function identifiersOf(entries: readonly Entry[]): readonly number[] {
  let identifiers: number[] | undefined
  for (const { identifier } of entries) if (identifier !== 0) (identifiers ??= []).push(identifier)
  return identifiers ?? NO_IDENTIFIERS
}
