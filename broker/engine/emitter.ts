import type { NodeBus } from '../contract/cluster.js'
import type { GatewayError } from '../contract/errors.js'
import type { PipelineEvents } from '../contract/events.js'
import type { Message } from '../contract/message.js'
import type { Router, Subscriber, Target } from '../contract/router.js'
import { filterMatches } from '../contract/topic.js'
import { asError } from './as-error.js'
import type { AedesEmitter, PacketHandler, PipelinePacket } from './aedes-internals.js'
import { fromPacketSubscription, packetProperties, toPacket } from './packets.js'
import type { Pipeline } from './pipeline.js'
import type { Publication } from './publication.js'

/**
 * The `mq` of Aedes: emits a message to every target of its route, synchronously. Handlers of the embedding
 * program (`broker.subscribe`) are subscribers in the router like any session.
 *
 * Handlers on filters that begin with `$` are kept here instead: Aedes has three of its own, only `$` topics ever
 * ask for them, and the count of subscriptions stays that of clients.
 */
export class Emitter implements AedesEmitter {
  private readonly handlers = new Map<string, Map<PacketHandler, Handler>>()
  private readonly systemHandlers: Handler[] = []
  private programHandlers = 0
  /** The packet in hand, for the handlers among its targets. */
  private packet: PipelinePacket | undefined = undefined
  private answers: Answers | undefined = undefined

  constructor(
    private readonly pipeline: Pipeline,
    private readonly router: Router,
    private readonly events: PipelineEvents,
    private readonly bus: NodeBus | undefined,
  ) {}

  /** Throws `TOPIC_INVALID`. The same filter and handler count once. */
  on(filter: string, handler: PacketHandler, done?: () => void): this {
    const subscription = fromPacketSubscription({ topic: filter, qos: 0, rap: true }, undefined)
    let handlers = this.handlers.get(filter)
    if (handlers === undefined) this.handlers.set(filter, (handlers = new Map<PacketHandler, Handler>()))
    if (!handlers.has(handler)) {
      const subscriber = new Handler(subscription.filter, handler, (message) => {
        this.call(handler, message)
      })
      handlers.set(handler, subscriber)
      if (subscription.filter.startsWith('$')) this.systemHandlers.push(subscriber)
      else {
        this.programHandlers++
        this.router.subscribe(subscriber, subscription)
      }
    }
    if (done !== undefined) setImmediate(done)
    return this
  }

  removeListener(filter: string, handler: PacketHandler, done?: () => void): this {
    const handlers = this.handlers.get(filter)
    const subscriber = handlers?.get(handler)
    if (handlers !== undefined && subscriber !== undefined) {
      handlers.delete(handler)
      if (handlers.size === 0) this.handlers.delete(filter)
      this.router.remove(subscriber)
      const index = this.systemHandlers.indexOf(subscriber)
      if (index >= 0) this.systemHandlers.splice(index, 1)
      else this.programHandlers--
    }
    if (done !== undefined) setImmediate(done)
    return this
  }

  emit(packet: PipelinePacket, done: (error?: Error) => void): this {
    const publication = this.pipeline.publicationOf(packet)
    if (publication.refusal !== undefined) done(publication.refusal)
    else this.inTurn(publication, packet, done)
    return this
  }

  /** Whether the embedding program has handlers. */
  get hasHandlers(): boolean {
    return this.programHandlers > 0
  }

  /** As `emit`, of a message that no program looks at. */
  readonly emitAlone = (publication: Publication): void => {
    this.inTurn(publication, undefined, undefined)
  }

  close(done: () => void): this {
    for (const handlers of this.handlers.values())
      for (const subscriber of handlers.values()) this.router.remove(subscriber)
    this.handlers.clear()
    this.systemHandlers.length = this.programHandlers = 0
    setImmediate(done)
    return this
  }

  private inTurn(publication: Publication, packet: PipelinePacket | undefined, done: Done | undefined): void {
    const { line } = publication
    if (line === undefined || line.mayEmit(publication)) this.deliver(publication, packet, done)
    else publication.waitingEmission = () => this.deliver(publication, packet, done)
  }

  private deliver(
    publication: Publication,
    packet: PipelinePacket | undefined,
    done: Done | undefined,
  ): void {
    const { message, queuedFor, sequences, owners, line } = publication
    const { bus } = this
    const handedOver = bus?.handedOver
    publication.emitted = true
    const { targets } = (publication.route ??= this.router.route(message))
    // An emission may begin within another one: a handler that publishes.
    const outerPacket = this.packet
    const outerAnswers = this.answers
    this.packet = packet
    this.answers = undefined
    let queued = 0
    for (const target of targets) {
      const isQueued = queuedFor[queued] === target
      const owner = isQueued ? owners?.[queued] : undefined
      const sequence = isQueued ? sequences[queued++] : undefined
      if (owner === undefined) this.handTo(target, message, sequence)
      else if (sequence !== undefined) {
        const { clientId } = target.subscriber
        bus?.forwardQueued(owner, message, { clientId, sequence, delivery: target.delivery })
      }
    }
    publication.matched = targets.length
    if (message.topic.startsWith('$')) publication.matched += this.callSystemHandlers(message)
    // An acknowledgement says that other nodes have the message, too: it is in their streams.
    if (bus !== undefined && bus.handedOver !== handedOver && message.qos > 0)
      bus.written((this.answers ??= new Answers()).expect())
    const answers = this.answers
    this.packet = outerPacket
    this.answers = outerAnswers

    if (answers === undefined) this.goOn(publication, done)
    else answers.whenAll((error) => this.goOn(publication, done, error))
    if (line !== undefined && !publication.passed) line.pass(publication)
  }

  /** The steps behind the emission: of Aedes `published` and `publish`; and the publisher's callback. */
  private goOn(publication: Publication, done: Done | undefined, error?: GatewayError): void {
    if (done === undefined) {
      this.pipeline.finish(publication, error)
      return
    }
    try {
      done(error)
    } catch (error) {
      // Of a hook or listener: the message has been stored and emitted.
      this.events.listenerFailed(asError(error))
      this.pipeline.finish(publication, undefined)
    }
    if (publication.done === undefined) this.pipeline.finish(publication, undefined)
  }

  /** A message of another node, whose publisher waits for nobody here. */
  emitHere(message: Message, targets: readonly Target[]): void {
    const outerPacket = this.packet
    const outerAnswers = this.answers
    this.packet = undefined
    this.answers = undefined
    for (const target of targets) this.handTo(target, message, undefined)
    this.packet = outerPacket
    this.answers = outerAnswers
  }

  private handTo({ subscriber, delivery }: Target, message: Message, sequence: number | undefined): void {
    try {
      subscriber.deliver(message, delivery, sequence)
    } catch (error) {
      this.events.subscriberFailed(subscriber.clientId, asError(error))
    }
  }

  private callSystemHandlers(message: Message): number {
    let called = 0
    for (const handler of this.systemHandlers.slice()) {
      if (!filterMatches(handler.filter, message.topic)) continue
      called++
      this.call(handler.handler, message)
    }
    return called
  }

  private call(handler: PacketHandler, message: Message): void {
    // Of another node there is none; most messages find no handler.
    const packet = (this.packet ??= { ...toPacket(message), clientId: message.publisherId })
    const properties = packetProperties(message)
    if (properties !== undefined) packet.properties = properties
    packet.payload = message.own().payload
    const answers = (this.answers ??= new Answers())
    const answer = answers.expect()
    try {
      handler(packet, answer)
    } catch (error) {
      this.events.listenerFailed(asError(error))
      answer()
    }
  }
}

type Done = (error?: Error) => void

class Handler implements Subscriber {
  readonly clientId = ''
  readonly durable = false
  readonly online = true

  constructor(
    readonly filter: string,
    readonly handler: PacketHandler,
    readonly deliver: (message: Message) => void,
  ) {}
}

/**
 * Handlers have called back, or not yet, and the bus: the publisher is answered when all have (back-pressure, as Aedes
 * documents).
 */
class Answers {
  private outstanding = 0
  private failure: GatewayError | undefined = undefined
  private all: ((failure: GatewayError | undefined) => void) | undefined = undefined

  expect(): (failure?: GatewayError) => void {
    this.outstanding++
    let answered = false
    return (failure) => {
      if (answered) return
      answered = true
      this.failure ??= failure
      if (--this.outstanding === 0) this.all?.(this.failure)
    }
  }

  whenAll(all: (failure: GatewayError | undefined) => void): void {
    if (this.outstanding === 0) all(this.failure)
    else this.all = all
  }
}
