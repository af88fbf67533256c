import type { Message } from './message.js'
import type { Delivery, Subscriber, Subscription } from './subscription.js'

/** Who wants a message. Made once at accept and used again at emission, so that both see the same subscribers. */
export interface Route {
  readonly targets: readonly Target[]
}

export interface Target {
  readonly subscriber: Subscriber
  readonly delivery: Delivery
}

/**
 * Subscriptions and the way from a topic to the sessions that want it. Synchronous and in memory; the sessions
 * themselves are kept by `store/`.
 */
export interface Router {
  /** Adds the subscription, or replaces the one with the same filter and share. */
  subscribe(subscriber: Subscriber, subscription: Subscription): void
  /** Does nothing when there is no such subscription. */
  unsubscribe(subscriber: Subscriber, filter: string, share: string | undefined): void
  /** Removes every subscription of the subscriber. */
  remove(subscriber: Subscriber): void
  /** One target a subscriber; for each share group one member. No Local is applied. */
  route(message: Message): Route
  /**
   * Chooses another member of the group for a message that the former one left unsettled; undefined: nobody is
   * left. `sharedFilter` as in `Delivery`.
   */
  reroute(message: Message, sharedFilter: string, former: Subscriber): Target | undefined
  /**
   * A durable subscriber has a connection on this node from now on: what it wants is of interest here. Idempotent.
   * Subscribers that are not durable are here for as long as they have subscriptions. Alone, a node does nothing.
   */
  arrived(subscriber: Subscriber): void
  /** Its connection has gone; what it is subscribed to stays. Idempotent. */
  departed(subscriber: Subscriber): void
  /**
   * Targets on this node of a message that another node has forwarded. Not among them: other nodes; durable
   * subscribers above QoS 0, whose copy is in their queue; share groups, for which the other node has chosen.
   */
  routeHere(message: Message): Route
  /**
   * The member of a share group that takes a message which another node has given to this one: one that is here and
   * not durable; where all of those have gone meanwhile a durable one, wherever it is connected, whose queue the
   * caller has to put it in; never another node. `sharedFilter` as in `Delivery`.
   */
  shareHere(message: Message, sharedFilter: string): Target | undefined
  /** Of clients and handlers of programs; what other nodes want is not among them. */
  readonly subscriptionCount: number
}

export type { Delivery, Subscriber, Subscription }
