import type { Aedes, Client, PublishPacket } from 'aedes'

/**
 * Every member of Aedes 1.2.0 that this folder relies on and its documentation does not promise. Nothing else
 * reaches into the broker; `aedes-contract.test.ts` shows that each of them is as described here.
 */
export interface AedesInternals {
  /** Registered clients by client identifier, without prototype. */
  readonly clients: Record<string, unknown>
  /** Uses `id`, `close(done)` and `closed` of a client that is in the way, and `duplicates` at the birth of a node. */
  registerClient(client: object): void
  /** Uses `id`. */
  unregisterClient(client: object): void
  /**
   * The pipeline: `storeRetained`, then for QoS 1 and 2 `subscriptionsByTopic` and `outgoingEnqueueCombi`, then
   * `mq.emit`, then `published` and the `publish` event, then `done`. The first step begins before this returns,
   * and each step begins before the callback of the one before it returns.
   *
   * Steps get one new packet made of `packet`; `published` and `publish` get `packet` itself. What persistence
   * returns is used by `.then(resolved, rejected)` alone, once.
   */
  publish(packet: object, client: object | null, done: (error?: Error | null) => void): void
  /** Replaced: what it would make is a connection outside of our session layer. */
  handle: (stream: { destroy(): void }) => unknown
}

export function internals(broker: Aedes): AedesInternals {
  return broker as unknown as AedesInternals
}

/** Our client where Aedes' types want theirs. */
export function documented(client: object): Client {
  return client as Client
}

/** The `mq` of Aedes. */
export interface AedesEmitter {
  on(filter: string, handler: PacketHandler, done?: () => void): this
  removeListener(filter: string, handler: PacketHandler, done?: () => void): this
  emit(packet: PipelinePacket, done: (error?: Error) => void): this
  close(done: () => void): this
}

export type PacketHandler = (packet: PipelinePacket, done: () => void) => void

/** The packet that the steps of the pipeline share. */
export interface PipelinePacket {
  readonly cmd: 'publish'
  readonly topic: string
  payload: string | Buffer
  readonly qos: 0 | 1 | 2
  readonly retain: boolean
  readonly clientId?: string | undefined
  properties?: PublishPacket['properties']
}

/** What Aedes needs of a promise. */
export interface Thenable<T> {
  then(resolved: (value: T) => void, rejected: (error: Error) => void): void
}

/** The part of a persistence that Aedes uses when no connection goes through its own `Client`. */
export interface AedesPersistence {
  /** Has to be an `async` function, literally: Aedes looks at its constructor. */
  setup(broker: unknown): Promise<void>
  storeRetained(packet: PipelinePacket): Thenable<unknown>
  subscriptionsByTopic(topic: string): Thenable<unknown[]>
  outgoingEnqueueCombi(subscriptions: unknown[], packet: PipelinePacket): Thenable<unknown>
  streamWill(brokers: unknown): AsyncIterable<unknown>
}
