import type { Clock } from '../contract/clock.js'
import type { Engine } from '../contract/engine.js'
import { isStoreRefusal, type GatewayError } from '../contract/errors.js'
import type { SessionEvents } from '../contract/events.js'
import { Message } from '../contract/message.js'
import { FrameWriter, PublishOutcome, readForBroker, type ToBroker } from '../contract/port-frame.js'
import type { PortEnd, PortHost } from '../contract/port.js'
import type { Router } from '../contract/router.js'
import type { Store } from '../contract/store.js'
import { hasWildcard } from '../contract/topic.js'
import { bridgeBounds, BridgeSubscription, type BridgeBounds } from './bridge-subscription.js'

export interface BridgePortOptions {
  readonly router: Pick<Router, 'subscribe' | 'remove'>
  readonly engine: Pick<Engine, 'publish'>
  readonly store: Pick<Store, 'retained'>
  readonly events: Pick<SessionEvents, 'messageDropped'>
  readonly clock: Clock
  /** Runs a task at the end of the tick (`setImmediate`). */
  readonly defer: (task: () => void) => void
  readonly bounds?: BridgeBounds
}

/**
 * The broker's end of the port to its pipelines: each pipeline's subscription is a subscriber of the router, and
 * what pipelines publish goes through the engine like everybody's. A delivery costs the broker's thread a copy into
 * the frame of this tick and nothing else.
 */
export class BridgePort implements PortHost {
  private end: PortEnd | undefined
  private readonly writer = new FrameWriter()
  private flushing = false
  /** By channel of the end that is attached. */
  private readonly channels = new Map<number, BridgeSubscription>()
  /** By name; they outlive the end. As many as there are pipelines. */
  private readonly subscriptions = new Map<string, BridgeSubscription>()

  constructor(private readonly options: BridgePortOptions) {}

  attach(end: PortEnd): void {
    this.detach()
    this.end = end
    const entries = this.entriesOf(end)
    end.receive((frame) => {
      if (this.end === end) readForBroker(frame, entries)
    })
  }

  detach(): void {
    this.end?.close()
    this.end = undefined
    this.channels.clear()
    if (!this.writer.empty) this.writer.take()
    for (const subscription of this.subscriptions.values()) subscription.leave()
  }

  /** Detaches and removes every subscription. Idempotent. */
  close(): void {
    this.detach()
    for (const subscription of this.subscriptions.values()) this.options.router.remove(subscription)
    this.subscriptions.clear()
  }

  private entriesOf(end: PortEnd): ToBroker {
    const { channels, subscriptions } = this
    const { router } = this.options
    return {
      subscribe: (channel, name, filter, qos) => {
        const subscription = this.subscription(name, filter, qos)
        channels.set(channel, subscription)
        this.write().subscribed(channel, subscription.maxUnsettled)
        subscription.join(channel)
      },
      grant: (channel, messages, bytes) => channels.get(channel)?.grant(messages, bytes),
      settle: (channel, token) => channels.get(channel)?.settle(token),
      unsubscribe: (channel) => {
        const subscription = channels.get(channel)
        if (subscription === undefined) return
        router.remove(subscription)
        subscription.finish()
      },
      release: (channel) => {
        const subscription = channels.get(channel)
        if (subscription === undefined) return
        router.remove(subscription)
        channels.delete(channel)
        subscriptions.delete(subscription.clientId)
      },
      recall: (id, topic) => {
        void this.retained(topic).then((payload) => {
          if (this.end === end) this.write().recalled(id, payload !== undefined, payload ?? NOTHING)
        })
      },
      publish: (id, name, qos, retain, topic, payload) => {
        const message = new Message({
          topic,
          // The frame is ours, but one message must not keep a whole frame in memory.
          payload: Buffer.from(payload),
          qos,
          retain,
          publisherId: name,
          receivedAt: this.options.clock.now(),
        })
        this.options.engine.publish(message, undefined, (error) => {
          // The end that asked may be gone by now.
          if (this.end === end) this.report(id, error)
        })
      },
    }
  }

  private subscription(name: string, filter: string, qos: 0 | 1): BridgeSubscription {
    const { router, bounds = bridgeBounds } = this.options
    const former = this.subscriptions.get(name)
    if (former?.filter === filter && former.qos === qos) return former
    if (former !== undefined) router.remove(former)
    const subscription = new BridgeSubscription(name, filter, qos, bounds, {
      write: () => this.write(),
      dropped: () => this.scheduleFlush(),
    })
    this.subscriptions.set(name, subscription)
    router.subscribe(subscription, {
      filter,
      share: undefined,
      qos,
      // A pipeline must not feed on its own results.
      noLocal: true,
      retainAsPublished: false,
      // Retained messages of the past are no new readings.
      retainHandling: 2,
      identifier: undefined,
    })
    return subscription
  }

  /** A store that cannot be read has nothing retained: what is asked for is a convenience. */
  private async retained(topic: string): Promise<Buffer | undefined> {
    if (hasWildcard(topic)) return undefined
    try {
      for await (const messages of this.options.store.retained(topic)) {
        const found = messages.find((message) => message.topic === topic)
        if (found !== undefined) return found.payload
      }
    } catch {
      return undefined
    }
    return undefined
  }

  private report(id: number, error: GatewayError | undefined): void {
    if (error === undefined) this.write().published(id, PublishOutcome.accepted, '')
    else
      this.write().published(
        id,
        // A node that was taken for dead joins again. Any other fault would come again with the same message.
        isStoreRefusal(error) ? PublishOutcome.tryAgain : PublishOutcome.refused,
        `${error.code}: ${error.message}`,
      )
  }

  /** The entries of this tick; they leave as one frame. */
  private write(): FrameWriter {
    this.scheduleFlush()
    return this.writer
  }

  private scheduleFlush(): void {
    if (this.flushing) return
    this.flushing = true
    this.options.defer(() => {
      this.flushing = false
      for (const subscription of this.subscriptions.values()) {
        const count = subscription.takeDropped()
        if (count > 0) this.options.events.messageDropped('bridge_overflow', subscription.clientId, count)
      }
      if (this.end !== undefined && !this.writer.empty) this.end.send(this.writer.take())
    })
  }
}

const NOTHING = Buffer.alloc(0)
