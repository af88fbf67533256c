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
  readonly subscriptionCount: number
}

export type { Delivery, Subscriber, Subscription }
