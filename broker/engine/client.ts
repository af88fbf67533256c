import { EventEmitter } from 'node:events'
import type { PublishPacket, Subscription as PacketSubscription } from 'aedes'
import type { Clock } from '../contract/clock.js'
import type { EngineClient, EngineConnection } from '../contract/engine.js'
import type { PipelineEvents } from '../contract/events.js'
import { asError } from './as-error.js'
import { OriginLine } from './origin-line.js'
import { fromPacket, fromPacketSubscription } from './packets.js'

/** QoS 0 messages of one client that may wait behind its QoS 1 and 2 messages. */
const CLIENT_LINE_LIMITS = { messages: 1_000, payloadBytes: 262_144 }

export interface ClientParts {
  readonly clock: Clock
  readonly events: PipelineEvents
  /** Whether the broker is closing its clients. */
  readonly closing: () => boolean
}

export type Callback = (error?: Error) => void

type Phase = 'connecting' | 'connected' | 'closed'

/**
 * An `EventEmitter` whose table of listeners comes with the first listener, not with the constructor: nobody listens
 * to most of the connections, and each would hold 150 bytes for it. (Aedes' own `Client` inherits in this way.)
 */
const LateEmitter = function LateEmitter(this: unknown) {
  return this
} as unknown as new () => EventEmitter
Object.setPrototypeOf(LateEmitter.prototype, EventEmitter.prototype)

/**
 * A connection in the shape of the client that Aedes documents. `conn` is no stream: it has the peer's address
 * and `destroy`; `req` is absent. What either was used for (headers, certificates, tokens) is in the session
 * layer's hands before a hook runs.
 */
export class AedesClient extends LateEmitter implements EngineClient {
  /** The client that `createEngine().engine` made. */
  static of(client: EngineClient): AedesClient {
    if (#connection in client) return client
    throw new TypeError('a client comes from Engine.client')
  }

  #phase: Phase = 'connecting'
  #line: OriginLine | undefined = undefined
  #conn: ClientConnection | undefined = undefined
  readonly #connection: EngineConnection
  readonly #parts: ClientParts

  constructor(connection: EngineConnection, parts: ClientParts) {
    super()
    this.#connection = connection
    this.#parts = parts
  }

  get id(): string {
    return this.#connection.clientId
  }

  get clean(): boolean {
    return this.#connection.clean
  }

  get version(): 3 | 4 | 5 {
    return this.#connection.version
  }

  get conn(): ClientConnection {
    return (this.#conn ??= new ClientConnection(this.#connection))
  }

  get connecting(): boolean {
    return this.#phase === 'connecting'
  }

  get connected(): boolean {
    return this.#phase === 'connected' && this.#connection.connected
  }

  get closed(): boolean {
    return this.#phase === 'closed'
  }

  /** Aedes resets these when another node starts; deduplication is the session layer's, there is nothing in them. */
  get duplicates(): Record<string, number> {
    return NO_DUPLICATES
  }

  /** Messages of this client that are under way. Made with the first one: most connections never publish. */
  get line(): OriginLine {
    return (this.#line ??= new OriginLine(CLIENT_LINE_LIMITS))
  }

  set phase(phase: Phase) {
    this.#phase = phase
  }

  /** Sends a message to this client alone; `retain` is not taken over. Called back once it is handed to the session. */
  publish(packet: PublishPacket, callback?: Callback): void {
    const message = fromPacket({ ...packet, retain: false }, this.#parts.clock.now(), undefined)
    this.#answer(() => this.#connection.deliver(message), callback)
  }

  subscribe(
    subscriptions: PacketSubscription | PacketSubscription[] | { subscriptions: PacketSubscription[] },
    callback?: Callback,
  ): void {
    const list = 'subscriptions' in subscriptions ? subscriptions.subscriptions : [subscriptions].flat()
    this.#answer(
      () => this.#connection.subscribe(list.map((each) => fromPacketSubscription(each, undefined))),
      callback,
    )
  }

  unsubscribe(
    topics: string | (string | PacketSubscription)[] | PacketSubscription | { unsubscriptions: string[] },
    callback?: Callback,
  ): void {
    const list =
      typeof topics === 'object' && 'unsubscriptions' in topics ? topics.unsubscriptions : [topics].flat()
    const filters = list.map((each) => (typeof each === 'string' ? each : each.topic))
    this.#answer(() => this.#connection.unsubscribe(filters), callback)
  }

  close(callback?: () => void): void {
    if (this.#phase === 'closed') {
      callback?.()
      return
    }
    const cause = this.#parts.closing() ? 'server_shutdown' : 'administrative'
    this.#connection.close(cause, () => callback?.())
  }

  emptyOutgoingQueue(callback?: Callback): void {
    this.#answer(() => {
      if (this.#connection.clearQueue === undefined) throw new Error('queues of sessions cannot be cleared')
      return this.#connection.clearQueue()
    }, callback)
  }

  /** Calls back with the outcome; a failure without a callback goes to the log. */
  #answer(work: () => Promise<void> | void, callback: Callback | undefined): void {
    const failed = (error: unknown): void => {
      if (callback === undefined) this.#parts.events.listenerFailed(asError(error))
      else callback(asError(error))
    }
    const answer = async (): Promise<void> => {
      await work()
      callback?.()
    }
    answer().catch(failed)
  }
}

/** What is left of a stream. */
export class ClientConnection {
  constructor(private readonly connection: EngineConnection) {}

  get remoteAddress(): string {
    return this.connection.info.remoteAddress
  }

  get remotePort(): number {
    return this.connection.info.remotePort
  }

  get destroyed(): boolean {
    return !this.connection.connected
  }

  destroy(): this {
    this.connection.close('administrative', () => {})
    return this
  }
}

const NO_DUPLICATES: Record<string, number> = Object.freeze(Object.create(null) as Record<string, number>)
