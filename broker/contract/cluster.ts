import type { Adopted, WriteDone } from './store.js'
import type { Message } from './message.js'
import type { Delivery } from './subscription.js'

/**
 * Many nodes on one Redis behave as one broker. What is durable is in the store that they share; this is the rest:
 * who lives, and what nodes tell each other. A node is named by the instance of its store (`SharedStore.instance`):
 * a fresh name each time it joins, so that nobody takes it for the process that it has replaced.
 */
export interface Membership {
  /** The name of this node since it joined last. */
  readonly self: string
  /** The other nodes whose lease runs, as last heard. */
  readonly others: ReadonlySet<string>
  /**
   * Calls back from now on, until the returned function is called. What is in `others` already is not told again.
   */
  watch(watcher: MembershipWatcher): () => void
}

export interface MembershipWatcher {
  joined?(node: string): void
  /** The node has gone, or its lease has ended and its writes are being refused. Every other node hears of it. */
  left?(node: string): void
  /**
   * What this node got of one that has left (`SharedStore.adopt`). It sees to the wills. When it rejects, and when this
   * node dies over it, another node is told in its place.
   */
  adopted?(adopted: Adopted, node: string): Promise<void>
  /**
   * This node was taken for dead (paused, cut off): its lease has ended and its sessions belong to others. Whatever
   * it holds is void. Resolves when everything is let go of; then it joins again under a new name.
   */
  expelled?(): Promise<void>
  /** The node has joined again under the name in `self`. */
  rejoined?(): Promise<void>
}

/**
 * Messages and questions between nodes. What one tick hands over for a node leaves as one entry, in order; entries of
 * one node reach another in order and once, or `NodeListener.missed` tells that some are lost. Nothing here waits
 * for Redis: what waits is bounded, and beyond the bound QoS 0 is dropped and counted.
 */
export interface NodeBus {
  /**
   * A message for the sessions of a node that are not durable, for its durable ones at QoS 0, and for handlers of
   * programs: whatever its own router finds.
   */
  forward(node: string, message: Message): void
  /** A message for one member of a share group, chosen by the node among those of its sessions that are not durable. */
  forwardShared(node: string, message: Message, sharedFilter: string): void
  /** The live copy of a message that is in the queue of a durable session, for the node that has it open. */
  forwardQueued(node: string, message: Message, place: QueuedPlace): void
  /**
   * Calls back when all that was handed over before is in Redis, in the order of the calls; at once when nothing
   * waits. With STORE_BUSY when the message that was forwarded last was refused because too much waits already, with
   * STORE_CLOSED when the bus ends before. To be called in the same tick as `forward`. The live copy of a queued
   * message (`forwardQueued`) that is refused is no error: its receiver is told to look into its queue.
   */
  written(done: WriteDone): void
  /** Messages handed over so far, by whichever of the three: who emits one sees by it whether it went to another node. */
  readonly handedOver: number
  /** Whether the node has answered in time. False at once for a node that is not alive. */
  ask(node: string, question: NodeQuestion, withinMs: number): Promise<boolean>
  /** Sets who is told of what other nodes send; once, before the start. */
  listen(listener: NodeListener): void
}

export interface QueuedPlace {
  readonly clientId: string
  /** 0: at QoS 0, for a durable member of a share group. It is in no queue. */
  readonly sequence: number
  readonly delivery: Delivery
}

export type NodeQuestion =
  /**
   * The client is connected here now, with that epoch: a connection of a lower epoch has to end. `sessionEnds`: its
   * session has been discarded. Answered when the connection has let go, and its will has been seen to.
   */
  | {
      readonly kind: 'takeover'
      readonly clientId: string
      readonly epoch: number
      readonly sessionEnds: boolean
    }
  /** Answered when every change of subscriptions that was made before the question has taken effect on that node. */
  | { readonly kind: 'caught-up' }

export interface NodeListener {
  /** See `NodeBus.forward` and its kin; one call a message and node, with all that it is for. */
  message(from: string, message: Message, addressees: Addressees): void
  /** Resolves when it is done: that is the answer. */
  asked(from: string, question: NodeQuestion): Promise<void>
  /** Entries of the node, or of all, are lost: open durable sessions have to look into their queues. */
  missed(from: string | undefined): void
}

export interface Addressees {
  /** Forwarded to whoever is here. */
  readonly all: boolean
  readonly sharedFilters: readonly string[]
  readonly queued: readonly QueuedPlace[]
}

/**
 * What the sessions that are here want, told to all other nodes: they send what nobody wants to nobody. Kept by
 * filter with a count, so that only the first and the last of a filter are told.
 */
export interface Interest {
  /** `$share/group/filter` or a plain filter. `members`: of a share group, how many online ones of this node. */
  want(filter: string): void
  unwant(filter: string): void
  /**
   * Resolves when every node has taken in what was wanted, and what was subscribed in the store, before the call, or has
   * left. A node that has come to a standstill holds that up until its lease ends; `soon`: no longer than a second. Calls of
   * one tick share one question a node.
   */
  settled(soon: boolean): Promise<void>
}

/**
 * The Redis of the configuration as the parts between nodes use it; `store/redis` makes the connections. Keys begin
 * with `keyPrefix`; what is used together by one script has one hash tag.
 */
export interface RedisPort {
  readonly keyPrefix: string
  /** A connection of one's own, for commands that block or have to be cut off alone. `name` is seen in `CLIENT LIST`. */
  open(name: string, options?: { readonly blocking?: boolean }): RedisCommands
}

/**
 * One connection; it reconnects by itself until it is closed. Nothing waits inside: without a connection a command
 * rejects at once, as it does when Redis refuses it or, unless `blocking`, does not answer in time.
 */
export interface RedisCommands {
  readonly connected: boolean
  /** Resolves when the connection is usable for the first time, or has been closed. */
  ready(): Promise<void>
  /** The name in lower case; text of the reply comes as bytes. On a Cluster it goes to the master of its first key. */
  command(name: string, ...args: readonly RedisArgument[]): Promise<RedisReply>
  /** Runs a script (loaded once) on the master that holds `key`, which is its KEYS[1]. */
  script(source: string, key: string, ...args: readonly RedisArgument[]): Promise<RedisReply>
  /** Calls back whenever the connection is usable again, until it is closed. */
  onReady(listener: () => void): void
  /** What is under way rejects. */
  close(): void
}

export type RedisArgument = string | Buffer | number
export type RedisReply = Buffer | number | null | readonly RedisReply[]
