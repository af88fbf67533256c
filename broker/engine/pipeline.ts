import { Readable } from 'node:stream'
import type { Clock } from '../contract/clock.js'
import { GatewayError } from '../contract/errors.js'
import type { PipelineEvents } from '../contract/events.js'
import type { Router, Target } from '../contract/router.js'
import type { Recipient, Store } from '../contract/store.js'
import { topicNameFault } from '../contract/topic.js'
import type { AedesPersistence, PipelinePacket, Thenable } from './aedes-internals.js'
import { OriginLine } from './origin-line.js'
import { ENGINE_LIMITS, fromPacket } from './packets.js'
import { Publication } from './publication.js'
import { Deferred, rejected, resolved } from './thenable.js'

/** On the packet that the steps share; Aedes copies named fields only, so that it never gets to another packet. */
const PUBLICATION = Symbol('publication')

type MarkedPacket = PipelinePacket & { [PUBLICATION]?: Publication }

const GATEWAY_LINE_LIMITS = { messages: 10_000, payloadBytes: 16_777_216 }
const SYS_PREFIX = '$SYS/'

export interface PipelineParts {
  readonly store: Store
  readonly router: Router
  readonly clock: Clock
  readonly events: PipelineEvents
}

/**
 * Our side of the steps that Aedes takes a message through: which publication a packet belongs to, and the
 * storing of it. Emission is in `emitter.ts`.
 */
export class Pipeline {
  /** Of what the gateway itself publishes: wills, bridges, the embedding program. */
  readonly gatewayLine = new OriginLine(GATEWAY_LINE_LIMITS)
  private starting: Publication | undefined = undefined

  constructor(private readonly parts: PipelineParts) {}

  /**
   * The publication that the next first step belongs to. The steps get a packet that Aedes makes, so that there
   * is nothing of ours on it yet; but the first one runs before `broker.publish` returns.
   */
  set upcoming(publication: Publication | undefined) {
    this.starting = publication
  }

  publicationOf(packet: MarkedPacket): Publication {
    const known = packet[PUBLICATION]
    if (known !== undefined) return known
    const publication = this.starting ?? this.adopt(packet)
    this.starting = undefined
    return publication
  }

  /**
   * The steps of Aedes without Aedes, in the same order, for a message that no program looks at: what it makes for
   * each (a packet, a state, three closures) took a third of the JavaScript of a QoS 0 message, 0.5 us.
   */
  takeAlone(publication: Publication, emit: (publication: Publication) => void): void {
    const { message } = publication
    if (message.qos === 0) {
      if (message.retain) this.retain(publication)
      emit(publication)
      return
    }
    this.store(publication, (error) => {
      if (error === undefined) emit(publication)
      else this.finish(publication, error)
    })
  }

  /** The pipeline is through with the publication. */
  finish(publication: Publication, error: GatewayError | undefined): void {
    if (publication.finished) return
    publication.error = error
    const { line } = publication
    if (line === undefined) {
      publication.finished = true
      return
    }
    // What was emitted passes behind the listeners of the emission, so that they too see messages in order.
    if (!publication.emitted) line.pass(publication)
    line.finish(publication)
  }

  /** Puts our steps in the place of those of a persistence. */
  takeOver<P extends AedesPersistence>(persistence: P): P {
    const steps: Omit<AedesPersistence, 'setup'> = {
      storeRetained: (packet) => this.storeRetained(packet),
      // Who gets the message is decided where it is stored, in one step.
      subscriptionsByTopic: () => NO_SUBSCRIPTIONS,
      outgoingEnqueueCombi: (_subscriptions, packet) => this.enqueue(packet),
      // Wills are the session layer's.
      streamWill: () => Readable.from([]),
    }
    return Object.assign(persistence, steps)
  }

  /**
   * QoS 1 and 2: stored by `enqueue`, together with the queues. QoS 0 has no acknowledgement that could wait:
   * the store has it in memory at once and writes behind; a failure is counted.
   */
  private storeRetained(packet: MarkedPacket): Thenable<unknown> {
    const publication = this.mark(packet)
    if (publication.refusal !== undefined) return rejected(publication.refusal)
    this.retain(publication)
    return DONE
  }

  private retain({ message, will }: Publication): void {
    // Of a will at QoS 0 it was stored when the will was taken.
    if (message.qos > 0 || will !== undefined) return
    const { store, events } = this.parts
    store.accept({ message: message.own(), recipients: [], retain: true, incoming: undefined }, (error) => {
      if (error !== undefined) events.messageDropped('store_failed', message.publisherId, 1)
    })
  }

  private enqueue(packet: MarkedPacket): Thenable<unknown> {
    const publication = this.mark(packet)
    if (publication.refusal !== undefined) return rejected(publication.refusal)
    const accepted = new Deferred()
    this.store(publication, (error) => {
      accepted.settle(error)
      // Aedes has called the embedding program back; nobody else ends this publication.
      if (error !== undefined && publication.done === undefined) this.finish(publication, error)
    })
    return accepted
  }

  /** Stores a QoS 1 or 2 message wherever it has to be; calls back at once when that is nowhere. */
  private store(publication: Publication, done: (error: GatewayError | undefined) => void): void {
    const { message, incoming, will } = publication
    const route = (publication.route = this.parts.router.route(message))
    let queuedFor: Target[] | undefined
    for (const target of route.targets)
      if (target.delivery.qos > 0 && target.subscriber.durable) (queuedFor ??= []).push(target)
    if (queuedFor === undefined && !message.retain && incoming === undefined && will === undefined) {
      done(undefined)
      return
    }
    const recipients = queuedFor?.map(recipient) ?? []
    if (queuedFor !== undefined) publication.queuedFor = queuedFor
    this.parts.store.accept(
      { message: message.own(), recipients, retain: message.retain, incoming, will },
      (error, sequences, owners) => {
        publication.sequences = sequences
        publication.owners = owners
        done(error)
      },
    )
  }

  private mark(packet: MarkedPacket): Publication {
    return (packet[PUBLICATION] = this.publicationOf(packet))
  }

  /** A message of the embedding program (`broker.publish`), or a notice of Aedes itself. */
  private adopt(packet: PipelinePacket): Publication {
    const message = fromPacket(packet, this.parts.clock.now(), packet.clientId)
    if (message.topic.startsWith(SYS_PREFIX)) return new Publication(message, undefined, undefined, undefined)
    const publication = new Publication(message, undefined, this.gatewayLine, undefined)
    const fault = topicNameFault(message.topic, ENGINE_LIMITS)
    if (fault !== undefined) {
      publication.refusal = new GatewayError('TOPIC_INVALID', `invalid topic name: ${fault}`)
    } else if (!this.enter(publication)) {
      publication.refusal = lineFull()
    }
    return publication
  }

  /** Puts the publication into its line; false: the line is full, which is counted. */
  enter(publication: Publication): boolean {
    const { line, message } = publication
    if (line === undefined) return true
    const waits = !line.idle
    if (!line.enter(publication)) {
      this.parts.events.messageDropped('queue_full', message.publisherId, 1)
      return false
    }
    if (waits) message.own()
    return true
  }
}

export function lineFull(): GatewayError {
  return new GatewayError('STORE_BUSY', 'too many QoS 0 messages wait behind messages that are being stored')
}

const DONE = resolved(undefined)
const NO_SUBSCRIPTIONS = resolved<unknown[]>([])

function recipient({ subscriber, delivery }: Target): Recipient {
  return { clientId: subscriber.clientId, delivery }
}
