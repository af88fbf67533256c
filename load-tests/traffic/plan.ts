import type { Endpoint } from '../client/endpoint.js'
import type { Version } from '../client/packets.js'

export const TOPOLOGIES = ['fanout', 'fanin', 'pairs'] as const
/**
 * Who receives what. `fanout`: every receiver gets every message. `fanin`: the same with few receivers, by a wildcard,
 * from publishers with a topic each. `pairs`: receiver n gets what publisher n sends.
 */
export type Topology = (typeof TOPOLOGIES)[number]

/**
 * `clean`: sessions that end with their connection. `persistent`: receivers have sessions that stay, and are connected.
 * `offline`: they are not, and messages are queued for them.
 */
export type SessionKind = 'clean' | 'persistent' | 'offline'

export type Pace =
  /** Each publisher has at most so many messages under way; the next goes when one has reached all its receivers. */
  | { readonly kind: 'closed'; readonly outstanding: number }
  /** All publishers together send so many messages a second, whatever comes of them. */
  | { readonly kind: 'rate'; readonly messagesPerSecond: number }

/** One worker's part of the work is derived from the whole plan, its number and the number of workers. */
export interface TrafficPlan {
  /** Of publishers. */
  readonly endpoint: Endpoint
  /** Receivers take them in turn. */
  readonly receiverEndpoints: readonly Endpoint[]
  /** Processes whose CPU time and memory are measured; empty: none on this machine. */
  readonly brokerPids: readonly number[]
  /** The one among them that is Redis. */
  readonly redisPid: number | undefined
  /** In client identifiers and topics, so that two load tests on one broker do not meet. */
  readonly runId: string
  readonly version: Version
  readonly topology: Topology
  readonly publishers: number
  readonly receivers: number
  readonly qos: 0 | 1 | 2
  readonly payloadBytes: number
  readonly pace: Pace
  readonly sessions: SessionKind
  readonly patienceMs: number
  readonly worker: number
  readonly workers: number
}

/** Numbers of the publishers or receivers, of `total`, that belong to a worker. */
export function shareOf(plan: Pick<TrafficPlan, 'worker' | 'workers'>, total: number): number[] {
  return Array.from({ length: total }, (_, index) => index).filter(
    (index) => index % plan.workers === plan.worker,
  )
}

export function topicOf({ topology, runId }: TrafficPlan, publisher: number): string {
  const base = `load/${runId}/${topology}`
  return topology === 'fanout' ? base : `${base}/${publisher}`
}

export function filterOf({ topology, runId }: TrafficPlan, receiver: number): string {
  const base = `load/${runId}/${topology}`
  return topology === 'fanout' ? base : topology === 'fanin' ? `${base}/+` : `${base}/${receiver}`
}

/** Publishers whose messages a receiver gets: the first one's number, and how many follow. */
export function streamsOf(
  { topology, publishers }: TrafficPlan,
  receiver: number,
): { readonly first: number; readonly count: number } {
  return topology === 'pairs' ? { first: receiver, count: 1 } : { first: 0, count: publishers }
}

/** How many receivers, of all workers, get a message. */
export function audienceOf({ topology, receivers }: TrafficPlan): number {
  return topology === 'pairs' ? 1 : receivers
}

/** Messages that a broker keeps. The work of one worker: what is measured is the broker's time for it. */
export interface StoredPlan {
  readonly endpoint: Endpoint
  readonly runId: string
  readonly version: Version
  readonly qos: 0 | 1 | 2
  readonly payloadBytes: number
  /** Retained messages, or messages for each session. */
  readonly count: number
  readonly patienceMs: number
}

export interface QueuePlan extends StoredPlan {
  readonly sessions: number
  readonly qos: 1 | 2
}
