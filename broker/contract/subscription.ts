import type { Message, QoS } from './message.js'

/** One subscription of one session (MQTT 5, 3.8.3; 3.1.1 subscriptions have the defaults). */
export interface Subscription {
  /** Without the `$share/group/` prefix. */
  readonly filter: string
  /** Name of the share group, for shared subscriptions (MQTT 5, 4.8.2). */
  readonly share: string | undefined
  readonly qos: QoS
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  readonly retainHandling: 0 | 1 | 2
  /** 1 to 268,435,455. */
  readonly identifier: number | undefined
  /** Members that another node has in the share group, 1 to 1,000,000: it gets as many turns. Default: 1. */
  readonly members?: number
}

/** What a subscriber gets of one message: all its matching subscriptions in one [MQTT-3.3.4-2]. */
export interface Delivery {
  /** Lower of the message's and the highest matching subscription's QoS. */
  readonly qos: QoS
  /** RETAIN flag on the wire: kept for Retain As Published, else cleared [MQTT-3.3.1-12]. */
  readonly retain: boolean
  /** Of every matching subscription that has one [MQTT-3.3.4-4]. Shared, do not modify. */
  readonly identifiers: readonly number[]
  /** `$share/group/filter` that the message was taken from; undefined for ordinary subscriptions. */
  readonly sharedFilter: string | undefined
}

/**
 * A session as the router sees it, online or stored. The router calls `deliver` synchronously while it emits;
 * what `deliver` throws is a defect.
 */
export interface Subscriber {
  /** Empty for what is no session: handlers of programs, other nodes. */
  readonly clientId: string
  /** Another node of the cluster, which stands for those of its sessions that want the message. */
  readonly node?: string
  /** Whether QoS 1 and 2 messages for it are kept in the store (session expiry above zero). */
  readonly durable: boolean
  /** Whether a connection is attached, on whichever node. Shared subscriptions prefer members that are online. */
  readonly online: boolean
  /** `sequence` is the place in the session's stored queue, undefined when the message was not stored for it. */
  deliver(message: Message, delivery: Delivery, sequence: number | undefined): void
}
