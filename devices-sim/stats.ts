import type { FaultName } from './faults/registry.js'

/** What a fleet has done so far. Counters only grow. */
export interface FleetStats {
  readonly devices: number
  /** Right now; after `stop`, when it was called. */
  readonly devicesConnected: number
  /** Messages to sensor topics that were acknowledged (QoS 0: written), malformed ones included. */
  readonly published: number
  /** Messages that were refused, or given up unacknowledged. */
  readonly publishErrors: number
  /** Readings that were not sent because the device was offline or had too many unacknowledged. */
  readonly missed: number
  /** Payload bytes of `published`. */
  readonly bytes: number
  /** Connections after the first of a device. */
  readonly reconnects: number
  readonly connectFailures: number
  /** Connections ended because another client came with the same client identifier (MQTT 5). */
  readonly takenOver: number
  /** How often each fault acted. */
  readonly faults: Readonly<Record<FaultName, number>>
}

export type Counters = { -readonly [Key in Exclude<keyof FleetStats, 'devices' | 'faults'>]: number } & {
  readonly faults: Record<FaultName, number>
}

export function noCounts(): Counters {
  return {
    devicesConnected: 0,
    published: 0,
    publishErrors: 0,
    missed: 0,
    bytes: 0,
    reconnects: 0,
    connectFailures: 0,
    takenOver: 0,
    faults: { dropout: 0, stuck: 0, spike: 0, clockSkew: 0, malformed: 0, flapping: 0 },
  }
}
