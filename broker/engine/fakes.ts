import type { Clock } from '../contract/clock.js'
import type { NodeBus } from '../contract/cluster.js'
import type { EngineConnection } from '../contract/engine.js'
import type { GatewayError } from '../contract/errors.js'
import type { PipelineEvents } from '../contract/events.js'
import { Message, type MessageFields } from '../contract/message.js'
import type { Delivery, Route, Router, Subscriber, Subscription, Target } from '../contract/router.js'
import type { Accept, AcceptDone, Store } from '../contract/store.js'
import { filterMatches } from '../contract/topic.js'
import type { AedesPersistence } from './aedes-internals.js'
import { type AedesEngine, createEngine } from './engine.js'
import { resolved } from './thenable.js'

/** Accepts at once, or when the test says so. */
export class FakeStore {
  readonly accepted: Accept[] = []
  /** Calls that wait for `settle`, while `holding`. */
  readonly held: { accept: Accept; done: AcceptDone }[] = []
  holding = false
  /** Other nodes that have sessions open, by client id. */
  readonly owners = new Map<string, string>()
  private sequence = 0

  accept(accept: Accept, done: AcceptDone): void {
    this.accepted.push(accept)
    if (this.holding) this.held.push({ accept, done })
    else this.succeed(accept, done)
  }

  settle(error?: GatewayError): void {
    const first = this.held.shift()
    if (first === undefined) throw new Error('nothing is held')
    if (error === undefined) this.succeed(first.accept, first.done)
    else first.done(error, [])
  }

  private succeed(accept: Accept, done: AcceptDone): void {
    done(
      undefined,
      accept.recipients.map(() => ++this.sequence),
      accept.recipients.map(({ clientId }) => this.owners.get(clientId)),
    )
  }
}

/** One target for each matching subscription: no remembering, no merging. */
export class FakeRouter implements Router {
  private readonly list: { subscriber: Subscriber; subscription: Subscription }[] = []

  get subscriptionCount(): number {
    return this.list.length
  }

  subscribe(subscriber: Subscriber, subscription: Subscription): void {
    this.list.push({ subscriber, subscription })
  }

  unsubscribe(): void {
    throw new Error('not asked for')
  }

  remove(subscriber: Subscriber): void {
    for (let i = this.list.length - 1; i >= 0; i--)
      if (this.list[i]?.subscriber === subscriber) this.list.splice(i, 1)
  }

  route(message: Message): Route {
    const targets: Target[] = this.list
      .filter(({ subscription }) => filterMatches(subscription.filter, message.topic))
      .map(({ subscriber, subscription }) => ({
        subscriber,
        delivery: {
          qos: subscription.qos < message.qos ? subscription.qos : message.qos,
          retain: false,
          identifiers: [],
          sharedFilter: undefined,
        },
      }))
    return { targets }
  }

  routeHere(message: Message): Route {
    return this.route(message)
  }

  shareHere(): undefined {
    throw new Error('not asked for')
  }

  arrived(): void {
    throw new Error('not asked for')
  }

  departed(): void {
    throw new Error('not asked for')
  }

  reroute(): undefined {
    return undefined
  }
}

export class Inbox implements Subscriber {
  readonly online = true
  readonly received: string[] = []
  readonly sequences: (number | undefined)[] = []

  constructor(
    readonly clientId: string,
    readonly durable = false,
    private readonly onDeliver: (message: Message, delivery: Delivery) => void = () => {},
  ) {}

  deliver(message: Message, delivery: Delivery, sequence: number | undefined): void {
    this.received.push(message.payload.toString())
    this.sequences.push(sequence)
    this.onDeliver(message, delivery)
  }
}

export class RecordedEvents implements PipelineEvents {
  readonly list: string[] = []

  messageDropped(reason: string, clientId: string | undefined, count: number): void {
    this.list.push(`dropped ${reason} ${clientId ?? '-'} ${count}`)
  }

  hookFailed(hook: string, error: Error): void {
    this.list.push(`hook ${hook}: ${error.message}`)
  }

  listenerFailed(error: Error): void {
    this.list.push(`listener: ${error.message}`)
  }

  subscriberFailed(clientId: string, error: Error): void {
    this.list.push(`subscriber ${clientId}: ${error.message}`)
  }

  engineFailed(error: Error): void {
    this.list.push(`engine: ${error.message}`)
  }
}

export class FakeConnection implements EngineConnection {
  readonly version = 4
  readonly clean = true
  connected = true
  readonly log: string[] = []
  readonly info = {
    connectionId: 1,
    listener: 'mqtt',
    transport: 'tcp' as const,
    remoteAddress: '192.0.2.7',
    remotePort: 4711,
    loopback: false,
    bearerToken: undefined,
    certificateName: undefined,
  }

  constructor(readonly clientId: string) {}

  close(cause: string, done: () => void): void {
    this.log.push(`close ${cause}`)
    this.connected = false
    done()
  }

  deliver(message: Message): void {
    this.log.push(`deliver ${message.topic} ${message.payload.toString()} ${message.retain}`)
  }

  subscribe(subscriptions: readonly Subscription[]): Promise<void> {
    this.log.push(`subscribe ${subscriptions.map((each) => `${each.filter}:${each.qos}`).join(' ')}`)
    return Promise.resolve()
  }

  unsubscribe(filters: readonly string[]): Promise<void> {
    this.log.push(`unsubscribe ${filters.join(' ')}`)
    return Promise.resolve()
  }
}

/** The least that Aedes starts with. */
export function fakePersistence(): AedesPersistence {
  return {
    setup: async () => {},
    storeRetained: () => resolved(undefined),
    subscriptionsByTopic: () => resolved([]),
    outgoingEnqueueCombi: () => resolved(undefined),
    streamWill: () => {
      throw new Error('replaced')
    },
  }
}

export const stoppedClock: Clock = {
  now: () => 1_000,
  monotonic: () => 0,
  schedule: () => ({ cancel: () => {} }),
}

export interface Bench extends AedesEngine {
  readonly store: FakeStore
  readonly router: FakeRouter
  readonly reported: RecordedEvents
}

export async function startEngine(bus?: NodeBus): Promise<Bench> {
  const store = new FakeStore()
  const router = new FakeRouter()
  const reported = new RecordedEvents()
  const made = createEngine({
    store: store as unknown as Store,
    router,
    clock: stoppedClock,
    events: reported,
    nodeId: 'node-1',
    persistence: fakePersistence(),
    bus,
  })
  await made.start()
  return {
    name: made.name,
    engine: made.engine,
    broker: made.broker,
    start: () => made.start(),
    stop: () => made.stop(),
    store,
    router,
    reported,
  }
}

export function subscription(filter: string, qos: 0 | 1 | 2 = 0): Subscription {
  return {
    filter,
    share: undefined,
    qos,
    noLocal: false,
    retainAsPublished: false,
    retainHandling: 0,
    identifier: undefined,
  }
}

export function message(topic: string, text: string, fields: Partial<MessageFields> = {}): Message {
  return new Message({
    topic,
    payload: Buffer.from(text),
    qos: 0,
    retain: false,
    receivedAt: 1_000,
    ...fields,
  })
}
