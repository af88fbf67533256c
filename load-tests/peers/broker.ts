import type { Endpoint } from '../client/endpoint.js'

export const TRANSPORTS = ['ws', 'wss', 'tcp', 'tls'] as const
export type Transport = (typeof TRANSPORTS)[number]

/** A broker under load: one that was started for it, or one that runs elsewhere. */
export interface Broker {
  /** `gateway`, `mosquitto`, ...: in tables and charts. */
  readonly name: string
  readonly version: string
  /** The settings that it runs with, for the report; empty where they are not known. */
  readonly settings: string
  /** Processes on this machine whose CPU time and memory are measured: the Redis between the nodes, and all nodes. */
  pids(): readonly number[]
  /** The one among them that is Redis. */
  redisPid(): number | undefined
  /** Where publishers go, and whoever does not publish either. */
  endpoint(transport: Transport): Endpoint
  /** Where receivers go, in turn. */
  receiverEndpoints(transport: Transport): readonly Endpoint[]
  /** Ends the processes and starts them again on the same ports, Redis without its data; undefined of one that runs elsewhere. */
  readonly restart?: () => Promise<void>
  stop(): Promise<void>
}

/** Nodes that are one broker. */
export interface Fleet {
  readonly nodes: number
  /** `apart`: publishers on the first node, receivers on the others. `together`: all clients on the first one. */
  readonly clients: 'apart' | 'together'
}

/** What the brokers of a comparison have in common. */
export interface PeerSettings {
  /** QoS 1 and 2 messages under way to and from a client. */
  readonly inflight: number
  /** Messages queued for a session. */
  readonly queued: number
  /** Whether listeners with TLS are needed. */
  readonly tls: boolean
  /** Core, as `taskset` writes it. */
  readonly cores: string | undefined
  /** Folder for CPU profiles of brokers that are Node programs. */
  readonly profiles: string | undefined
}
