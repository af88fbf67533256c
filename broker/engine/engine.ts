import { Aedes } from 'aedes'
import type { Clock } from '../contract/clock.js'
import type { NodeBus } from '../contract/cluster.js'
import type {
  Engine,
  EngineClient,
  EngineConnection,
  EngineEvents,
  EngineHooks,
  PublishDone,
  PublishOrigin,
} from '../contract/engine.js'
import { GatewayError } from '../contract/errors.js'
import type { PipelineEvents } from '../contract/events.js'
import type { Message } from '../contract/message.js'
import type { Router, Target } from '../contract/router.js'
import type { Service } from '../contract/service.js'
import type { Store } from '../contract/store.js'
import { type AedesPersistence, internals } from './aedes-internals.js'
import { asError } from './as-error.js'
import { BrokerEvents } from './broker-events.js'
import { AedesClient } from './client.js'
import { Emitter } from './emitter.js'
import { BrokerHooks } from './hooks.js'
import { PublishedPacket } from './packets.js'
import { lineFull, Pipeline } from './pipeline.js'
import { Publication } from './publication.js'

export type { Aedes }

export interface EngineParts {
  readonly store: Store
  readonly router: Router
  readonly clock: Clock
  readonly events: PipelineEvents
  /** Of this process; the id of the Aedes broker, and in its `$SYS` topics. */
  readonly nodeId: string
  /** `store` as a persistence of Aedes. */
  readonly persistence: AedesPersistence
  /** To other nodes, where the store is shared with some. */
  readonly bus?: NodeBus | undefined
}

export interface AedesEngine extends Service {
  readonly engine: Engine
  /**
   * For programs that embed the gateway: hooks may be set and listeners added from the beginning. `handle` is not
   * in use: connections come in by the gateway's listeners.
   */
  readonly broker: Aedes
}

/** The publish pipeline. `start` before the first message, and after the store is open; `stop` before the store closes. */
export function createEngine(parts: EngineParts): AedesEngine {
  return new PublishEngine(parts)
}

class PublishEngine implements AedesEngine, Engine {
  readonly name = 'engine'
  readonly engine: Engine = this
  readonly broker: Aedes
  readonly hooks: EngineHooks
  readonly events: EngineEvents
  private readonly pipeline: Pipeline
  private readonly emitter: Emitter
  private readonly defaultPublished: Aedes['published']
  private running = false

  constructor(private readonly parts: EngineParts) {
    const { events } = parts
    this.pipeline = new Pipeline(parts)
    this.emitter = new Emitter(this.pipeline, parts.router, events, parts.bus)
    this.broker = new Aedes({
      id: parts.nodeId,
      mq: this.emitter,
      persistence: this.pipeline.takeOver(parts.persistence),
    })
    this.defaultPublished = this.broker.published
    this.hooks = new BrokerHooks(this.broker, events)
    this.events = new BrokerEvents(this.broker, events)
    // Without a listener an `error` event would end the process.
    ;(this.broker as NodeJS.EventEmitter).on('error', (error: Error) => events.engineFailed(error))
    internals(this.broker).handle = (stream) => {
      stream.destroy()
      events.engineFailed(new Error('broker.handle is not in use: connections come in by the listeners'))
    }
  }

  async start(): Promise<void> {
    if (this.running) return
    await this.broker.listen()
    this.running = true
  }

  async stop(): Promise<void> {
    if (!this.running) return
    this.running = false
    await new Promise<void>((resolve) => {
      this.broker.close(resolve)
    })
  }

  client(connection: EngineConnection): EngineClient {
    return new AedesClient(connection, {
      clock: this.parts.clock,
      events: this.parts.events,
      closing: () => this.broker.closed,
    })
  }

  attach(client: EngineClient): void {
    const { clients } = internals(this.broker)
    // Aedes would close the other one and register this one some time later, with nothing to tell who came first.
    if (clients[client.id] !== undefined) throw new Error('a client of that id is registered')
    this.guard(() => {
      internals(this.broker).registerClient(client)
    })
  }

  detach(client: EngineClient): void {
    AedesClient.of(client).phase = 'closed'
    if (internals(this.broker).clients[client.id] !== client) return
    this.guard(() => {
      internals(this.broker).unregisterClient(client)
    })
  }

  publish(message: Message, origin: PublishOrigin | undefined, done: PublishDone): void {
    if (!this.running) {
      done(notRunning(), 0)
      return
    }
    const client = origin === undefined ? null : AedesClient.of(origin.client)
    const line = client === null ? this.pipeline.gatewayLine : client.line
    this.send(new Publication(message, origin?.incoming, line, done), client)
  }

  publishWill(message: Message, clientId: string, done: PublishDone): void {
    const send = (): void => {
      if (this.running) this.send(new Publication(message, undefined, line, done, clientId), null)
      else done(notRunning(), 0)
    }
    const line = this.pipeline.gatewayLine
    if (message.qos > 0 || !this.running) {
      send()
      return
    }
    const { retain } = message
    this.parts.store.accept(
      { message: message.own(), recipients: [], retain, incoming: undefined, will: clientId },
      (error) => {
        if (error === undefined) send()
        else done(error, 0)
      },
    )
  }

  emitHere(message: Message, targets: readonly Target[]): void {
    this.emitter.emitHere(message, targets)
  }

  private send(publication: Publication, client: AedesClient | null): void {
    const { message, done } = publication
    const { events } = this.parts
    if (!this.pipeline.enter(publication)) {
      done?.(lineFull(), 0)
      return
    }
    const seen = this.isSeen(message)
    // The payload may be a view of a buffer that is read into again. Queues, windows and listeners keep messages.
    if (message.qos > 0 || seen) message.own()
    try {
      if (seen) this.throughAedes(publication, client)
      else this.pipeline.takeAlone(publication, this.emitter.emitAlone)
    } catch (error) {
      // A store or router that throws. The line must not wait for this message for ever.
      events.engineFailed(asError(error))
      this.pipeline.finish(
        publication,
        new GatewayError('INTERNAL', 'the publish pipeline threw', { cause: error }),
      )
    }
  }

  private throughAedes(publication: Publication, client: AedesClient | null): void {
    this.pipeline.upcoming = publication
    try {
      internals(this.broker).publish(new PublishedPacket(publication.message), client, (error) => {
        this.pipeline.finish(publication, error ? failure(error, publication) : undefined)
      })
    } finally {
      this.pipeline.upcoming = undefined
    }
  }

  /** Whether a program looks at messages by a hook, a listener or a handler; Aedes itself does at `$` topics. */
  private isSeen({ topic }: Message): boolean {
    return (
      this.broker.published !== this.defaultPublished ||
      this.broker.listenerCount('publish') > 0 ||
      this.emitter.hasHandlers ||
      topic.startsWith('$')
    )
  }

  /** Registering emits events of Aedes: what a listener throws must not reach the session. */
  private guard(run: () => void): void {
    try {
      run()
    } catch (error) {
      this.parts.events.listenerFailed(asError(error))
    }
  }
}

function notRunning(): GatewayError {
  return new GatewayError('NOT_RUNNING', 'the publish pipeline does not run')
}

function failure(error: Error, publication: Publication): GatewayError {
  if (error instanceof GatewayError) return error
  if (publication.emitted)
    return new GatewayError('HOOK_FAILED', 'the `published` hook reported an error', { cause: error })
  // Aedes looks at one thing before its first step.
  return new GatewayError('TOPIC_INVALID', 'the topic has more than 100 levels', { cause: error })
}
