/**
 * How pipelines reach a broker: the gateway they live in, through a port, or any other one through an MQTT client.
 *
 * The port between a gateway and its pipelines is asynchronous and works in batches, so that it is the same within
 * a thread and across a worker's boundary: whatever a tick produces for the other end travels as one `ArrayBuffer`,
 * transferred and not copied (`port-frame.ts`). Both directions have credit. The pipelines grant the broker
 * messages and bytes, and grant again as they take them in; the broker lets so many publishes be under way
 * (`PORT_LIMITS`), and each report that one is accepted makes room for another.
 */

/** One end of a port. A frame is handed over whole: the sender must not touch it again. */
export interface PortEnd {
  send(frame: ArrayBuffer): void
  /** Called once, before anything is sent. Frames arrive in order, never within `send`. */
  receive(listener: (frame: ArrayBuffer) => void): void
  /** Idempotent. Nothing is received afterwards. */
  close(): void
}

/** The broker's end: pipelines are attached one set at a time. */
export interface PortHost {
  /**
   * Serves this end from now on. Subscriptions that a former end of the same names left behind go on: what it had
   * not settled is delivered again, first and in order. That is what a crashed worker costs: nothing.
   */
  attach(end: PortEnd): void
  /** The end is gone, its subscriptions wait (bounded) for the next one. */
  detach(): void
}

export const PORT_LIMITS = {
  /** Messages that a broker may send to one subscription before more are granted. */
  creditMessages: 4_096,
  /** Payload and topic bytes, the same. One message may go beyond. */
  creditBytes: 4_194_304,
  /** Publishes that may wait for their report, all pipelines together. */
  publishesUnderWay: 4_096,
  publishBytesUnderWay: 4_194_304,
} as const

/** A broker as a connector sees it. Each pipeline has its own link. */
export interface BrokerLink {
  /**
   * Subscribes; at most once a link. Retained messages of the past are not delivered. Rejects with `Retryable` when
   * the broker cannot be reached or refuses; the caller tries again later.
   */
  subscribe(filter: string, options: SubscribeOptions): Promise<Inflow>
  /**
   * Publishes in order and resolves when the broker has taken responsibility for all of them (QoS 0: when they have
   * been handed over). Rejects with `Retryable` or `Rejected`; then some of them may have been published.
   */
  publish(messages: readonly OutboundMessage[]): Promise<void>
  /**
   * Payload of the retained message of a topic, undefined when there is none. Absent where a link cannot look that
   * up: MQTT has no request for it. Rejects with `Retryable`.
   */
  recall?(topic: string): Promise<Uint8Array | undefined>
  /** Ends the subscription and lets go of everything. What waits is rejected with `Retryable`. Idempotent. */
  close(): Promise<void>
}

export interface SubscribeOptions {
  readonly qos: 0 | 1
  /** Bound on unsettled QoS 1 messages, 1 to 65,535; undefined: what suits the broker. */
  readonly maxUnsettled: number | undefined
}

export interface Inflow {
  /** What has arrived, in order, at least one message; waits for it. Undefined: stopped, and everything was read. */
  read(): Promise<readonly InboundMessage[] | undefined>
  /** The broker may forget every message up to and including this token. */
  settle(token: number): void
  /** Nothing more is taken in. What has arrived can still be read and settled. */
  stop(): void
  /** QoS 1 messages that may be unsettled at a time without holding up the ones behind them. */
  readonly maxUnsettled: number
  /** QoS 0 messages so far that were dropped since what had arrived before was not read in time. */
  readonly dropped: number
}

export interface InboundMessage {
  readonly topic: string
  readonly payload: Uint8Array
  /** QoS 1: consecutive numbers from the first one upwards. QoS 0: 0, there is nothing to settle. */
  readonly token: number
  /** Milliseconds since the epoch. */
  readonly receivedAt: number
}

export interface OutboundMessage {
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: 0 | 1
  readonly retain: boolean
}
