import type { GatewayError } from './errors.js'
import type { Message } from './message.js'
import type { Target } from './router.js'
import type { StoredSession } from './store.js'
import type { Subscription } from './subscription.js'
import type { CloseCause, ConnectionInfo } from './transport.js'

/**
 * The publish pipeline and the registry of clients (Aedes), as `session/` sees them. An embedding program's hooks
 * and listeners on the Aedes broker hang behind this interface.
 */
export interface Engine {
  /** The face of a connection towards hooks and events. Made when CONNECT has been read; registers nothing. */
  client(connection: EngineConnection): EngineClient
  /** Registers the client. The caller has made sure that no other one of that id is registered. */
  attach(client: EngineClient): void
  detach(client: EngineClient): void

  /**
   * Takes a message through the pipeline: retained, queues, emission. Messages of one origin are stored, emitted
   * and reported in the order of the calls, whatever their QoS [MQTT-4.6.0]. `done` is called once, possibly
   * before this returns; without an error the message is stored wherever it has to be, and emitted.
   */
  publish(message: Message, origin: PublishOrigin | undefined, done: PublishDone): void
  /**
   * Publishes the will that a shared store keeps for the client id, and removes it there in the same write; of QoS 0,
   * which nothing else stores, before. Fails with SESSION_TAKEN, and publishes nothing, when another node answers for it.
   */
  publishWill(message: Message, clientId: string, done: PublishDone): void
  /** Emits a message that another node has published to targets on this one (`Router.routeHere`). */
  emitHere(message: Message, targets: readonly Target[]): void

  readonly hooks: EngineHooks
  readonly events: EngineEvents
}

/** `matched`: sessions that the message was for; 0 lets MQTT 5 say 0x10 No matching subscribers. */
export type PublishDone = (error: GatewayError | undefined, matched: number) => void

export interface PublishOrigin {
  readonly client: EngineClient
  /** QoS 2 of a durable session: stored together with the message. */
  readonly incoming: { readonly session: StoredSession; readonly packetId: number } | undefined
}

/** What a connection offers to the engine and, through it, to an embedding program. */
export interface EngineConnection {
  readonly clientId: string
  readonly clean: boolean
  /** Protocol level: 3 (MQTT 3.1), 4 (3.1.1), 5. */
  readonly version: 3 | 4 | 5
  readonly info: ConnectionInfo
  readonly connected: boolean
  /** Ends the connection; `done` when the session has let go of the client id. */
  close(cause: CloseCause, done: () => void): void
  /** Sends a message to this client as if it had subscribed to it. */
  deliver(message: Message): void | Promise<void>
  subscribe(subscriptions: readonly Subscription[]): Promise<void>
  unsubscribe(filters: readonly string[]): Promise<void>
  /** Forgets the QoS 1 and 2 messages queued for this client. Absent where the session layer does not offer it. */
  clearQueue?(): Promise<void>
}

/** Opaque outside `engine/`, where it is the documented Aedes client. */
export interface EngineClient {
  readonly id: string
}

/**
 * Hooks that an embedding program has set on the Aedes broker. A member is undefined while the program has not
 * set it, so that the hot path pays nothing for it.
 */
export interface EngineHooks {
  readonly preConnect: ((client: EngineClient, connect: ConnectSummary) => Promise<boolean>) | undefined
  readonly authenticate:
    | ((
        client: EngineClient,
        username: string | undefined,
        password: Buffer | undefined,
      ) => Promise<HookVerdict>)
    | undefined
  readonly authorizePublish: ((client: EngineClient, message: Message) => Promise<boolean>) | undefined
  /** Resolves to the subscription as the hook wants it, or undefined: refused. */
  readonly authorizeSubscribe:
    ((client: EngineClient, subscription: Subscription) => Promise<Subscription | undefined>) | undefined
  /** Undefined: not for this client. */
  readonly authorizeForward: ((client: EngineClient, message: Message) => Message | undefined) | undefined
}

export type HookVerdict =
  { readonly granted: true } | { readonly granted: false; readonly returnCode: number }

export interface ConnectSummary {
  readonly clientId: string
  readonly clean: boolean
  readonly keepAlive: number
  readonly username: string | undefined
  readonly version: 3 | 4 | 5
}

/** Aedes events that only a connection can know of; `client`, `clientDisconnect` and `publish` come from Aedes itself. */
export interface EngineEvents {
  connackSent(client: EngineClient, returnCode: number, sessionPresent: boolean): void
  clientReady(client: EngineClient): void
  ping(client: EngineClient): void
  /** A subscriber has settled a message. */
  ack(client: EngineClient, message: Message | undefined): void
  subscribed(client: EngineClient, subscriptions: readonly Subscription[]): void
  unsubscribed(client: EngineClient, filters: readonly string[]): void
  keepAliveTimeout(client: EngineClient): void
  clientError(client: EngineClient, error: Error): void
  connectionError(client: EngineClient, error: Error): void
}
