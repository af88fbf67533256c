import type { Timer } from '../contract/clock.js'
import type { NodeBus } from '../contract/cluster.js'
import type { Message } from '../contract/message.js'
import type { Delivery, Subscriber, Subscription } from '../contract/subscription.js'
import { formatFilter } from '../contract/topic.js'
import type { VolatileQueue } from './delivery-queue.js'
import type { Deliveries } from './deliveries.js'

/** Session Expiry Interval that means: never [MQTT 5, 3.1.2.11.2]. */
export const NEVER = 0xffff_ffff

/** The connection of a session, as far as deliveries are concerned. */
export interface SessionLink {
  readonly deliveries: Deliveries
  /** QoS 0. */
  sendPlain(message: Message, delivery: Delivery): void
}

/**
 * A session: what the router knows under a client id, whether a connection is attached or not. It lives as long
 * as its subscriptions do; a takeover attaches another connection to the same session.
 */
export class Session implements Subscriber {
  readonly subscriptions = new Map<string, Subscription>()
  /** Last sequence number that this process has sent to the client. */
  sentUpTo = 0
  /** Last one that a former process may have sent. */
  formerlySentUpTo = 0
  /** Of a former process, which may have sent all that was queued: how far it got is not written down. */
  restored = false
  /** Runs while no connection is attached and the session is to end; of a store that belongs to one process. */
  expiry: Timer | undefined
  /** The other node that has it open, as last heard; told of sessions with shared subscriptions alone. */
  openOn: string | undefined

  /** Until then live copies of other nodes may be meant for a former session of the client; monotonic milliseconds. */
  distrustedUntil: number | undefined

  private link: SessionLink | undefined
  private volatileSequence = 0

  /** `queue`: of a session without expiry; undefined: the store keeps the queue. */
  constructor(
    readonly clientId: string,
    readonly queue: VolatileQueue | undefined,
    private readonly bus: NodeBus | undefined,
  ) {}

  /** Last sequence number that may have been sent to the client. */
  get maybeSentUpTo(): number {
    return Math.max(this.sentUpTo, this.formerlySentUpTo)
  }

  get durable(): boolean {
    return this.queue === undefined
  }

  /** Whether it takes messages from share groups. */
  get isShared(): boolean {
    for (const { share } of this.subscriptions.values()) if (share !== undefined) return true
    return false
  }

  get online(): boolean {
    return this.link !== undefined || this.openOn !== undefined
  }

  attach(link: SessionLink): void {
    this.link = link
  }

  detach(): void {
    this.link = undefined
  }

  deliver(message: Message, delivery: Delivery, sequence: number | undefined): void {
    const { link } = this
    if (link === undefined) {
      this.deliverElsewhere(message, delivery)
      return
    }
    if (delivery.qos === 0) {
      link.sendPlain(message, delivery)
    } else if (this.queue === undefined) {
      // Without a number the store did not take it: its queue is full, and that is counted there.
      if (sequence !== undefined && !link.deliveries.offer(sequence, message, delivery))
        link.deliveries.resume()
    } else {
      const next = ++this.volatileSequence
      if (link.deliveries.offer(next, message, delivery)) return
      this.queue.add(next, message, delivery)
      link.deliveries.resume()
    }
  }

  /** Returns the filter as the client wrote it. */
  keep(subscription: Subscription): string {
    const filter = formatFilter(subscription)
    this.subscriptions.set(filter, subscription)
    return filter
  }

  forget(filter: string): Subscription | undefined {
    const subscription = this.subscriptions.get(filter)
    this.subscriptions.delete(filter)
    return subscription
  }

  /**
   * Offline: QoS 1 and 2 are in the store; QoS 0 is for those who listen. A node that has a listener is sent the message
   * once for all of them; but a share group has chosen this very member.
   */
  private deliverElsewhere(message: Message, delivery: Delivery): void {
    if (this.openOn === undefined || delivery.qos > 0 || delivery.sharedFilter === undefined) return
    this.bus?.forwardQueued(this.openOn, message, { clientId: this.clientId, sequence: 0, delivery })
  }
}
