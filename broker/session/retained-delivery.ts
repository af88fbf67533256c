import type { Delivery, Subscription } from '../contract/subscription.js'
import { formatFilter } from '../contract/topic.js'
import type { Message, QoS } from '../contract/message.js'
import type { Store } from '../contract/store.js'
import type { Session } from './session.js'

/** The client, as far as its retained messages are concerned. */
export interface RetainedLink {
  readonly clientId: string
  readonly session: Session
  /**
   * Whether messages of this QoS would not pile up: the socket takes more, and for QoS 1 and 2 everything queued
   * before has been sent.
   */
  takesMore(qos: QoS): boolean
  /** Nothing is to be sent any more. */
  readonly stopped: boolean
  /** Resolves when `takesMore` may have become true, or the client is gone. */
  changed(): Promise<void>
  /** QoS 0. Not dropped when the client is slow: it is waited for. */
  sendRetained(message: Message, delivery: Delivery): void
  /** QoS 1 and 2 of a durable session. */
  enqueue(message: Message, delivery: Delivery): Promise<void>
  failed(error: Error): void
}

/**
 * Retained messages for the subscriptions of one client (MQTT 5, 3.3.1.3), one subscription after the other, as fast
 * as the client takes them: all at once, 200,000 of them fill its outbox or queue many times over, and most would be
 * dropped. A message that is published meanwhile goes out at once.
 */
export class RetainedDelivery {
  /** By filter, those whose turn has not come; no more than the client has subscriptions. */
  private readonly waiting = new Map<string, Subscription>()
  private running = false

  constructor(
    private readonly link: RetainedLink,
    private readonly store: Pick<Store, 'retained'>,
  ) {}

  /**
   * Sends what is retained for new subscriptions. Resolves when all of it is handed over, or when the client has to
   * take something first: its acknowledgements must be read then. The rest follows.
   */
  send(subscriptions: readonly Subscription[]): Promise<void> {
    for (const subscription of subscriptions) {
      const filter = formatFilter(subscription)
      this.waiting.delete(filter)
      this.waiting.set(filter, subscription)
    }
    if (this.running || this.waiting.size === 0) return Promise.resolve()
    return new Promise((resolve) => {
      this.running = true
      this.run(resolve)
        .catch((error: unknown) => this.failed(error))
        .finally(() => {
          this.running = false
          resolve()
        })
    })
  }

  private async run(onWait: () => void): Promise<void> {
    for (const [filter, subscription] of this.waiting) {
      this.waiting.delete(filter)
      await this.walk(filter, subscription, onWait)
    }
  }

  private async walk(text: string, subscription: Subscription, onWait: () => void): Promise<void> {
    const { link } = this
    for await (const messages of this.store.retained(subscription.filter)) {
      // Read a moment ago and sent now: in between nothing can make one of them outdated.
      await this.deliver(messages, subscription)
      // Other connections have their turn between two chunks.
      await new Promise(setImmediate)
      while (!link.takesMore(subscription.qos) && !link.stopped) {
        onWait()
        await link.changed()
      }
      if (link.stopped || this.isOver(text)) return
    }
  }

  /** Unsubscribed meanwhile, or subscribed to once more, which begins anew. */
  private isOver(text: string): boolean {
    return !this.link.session.subscriptions.has(text) || this.waiting.has(text)
  }

  private async deliver(messages: readonly Message[], subscription: Subscription): Promise<void> {
    const { clientId, session } = this.link
    const identifiers = subscription.identifier === undefined ? [] : [subscription.identifier]
    const queued: Promise<void>[] = []
    for (const message of messages) {
      // Its own messages are not for it, retained or not [MQTT-3.8.3-3].
      if (subscription.noLocal && message.publisherId === clientId) continue
      const qos = message.qos < subscription.qos ? message.qos : subscription.qos
      const delivery: Delivery = { qos, retain: true, identifiers, sharedFilter: undefined }
      if (qos > 0 && session.durable) {
        queued.push(this.link.enqueue(message, delivery))
        continue
      }
      if (qos === 0) this.link.sendRetained(message, delivery)
      else session.deliver(message, delivery, undefined)
      // It may stay retained for years: a second copy of its payload must not.
      message.encoded = undefined
    }
    await Promise.all(queued)
  }

  private failed(error: unknown): void {
    // The session of a client that is gone may be in other hands, or the store closed.
    if (!this.link.stopped) this.link.failed(error instanceof Error ? error : new Error(String(error)))
  }
}
