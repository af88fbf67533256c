import type { RecordDropReason } from './connector.js'
import type { QoS } from './message.js'
import type { RefusalReason } from './principal.js'
import type { CloseCause, ConnectionInfo } from './transport.js'

/**
 * Everything noteworthy that happens, one function an event: `telemetry/` logs and counts it. Each part gets the
 * interface of its own events. Labels are closed sets; nothing here takes a secret or a payload.
 *
 * Levels: an operator is needed or data was lost: error. Unexpected, nothing lost: warn. Connections come and go:
 * info. Per message: counted only.
 */
export interface TransportEvents {
  listening(listener: string, address: string): void
  connectionOpened(info: ConnectionInfo): void
  /** Before there was a connection: handshake or admission said no. */
  connectionRefused(listener: string, remoteAddress: string, reason: HandshakeRefusal): void
  connectionClosed(info: ConnectionInfo, cause: CloseCause): void
  bytesReceived(count: number): void
  bytesSent(count: number): void
  /** QoS 0 deliveries dropped from an outbox above its soft limit. */
  outboxDropped(info: ConnectionInfo, messages: number, bytes: number): void
  /** A connection's handler threw: a defect of the gateway. Only that connection is closed. */
  handlerFailed(info: ConnectionInfo, error: unknown): void
  /** A running listener could not accept a connection (out of file descriptors, as a rule). It goes on listening. */
  acceptFailed(listener: string, error: Error): void
}

export type HandshakeRefusal =
  | 'bad_request'
  | 'unknown_path'
  | 'subprotocol'
  | 'origin'
  | 'too_many_connections'
  | 'tls_handshake'
  | 'handshake_timeout'
  | 'untrusted_proxy' // a PROXY protocol listener, and an address that is not in its `trusted`
  | 'proxy_header' // missing or not to be read
  | 'shutting_down'

export interface SessionEvents {
  connected(info: ConnectionInfo, clientId: string, details: ConnectedDetails): void
  connectRefused(info: ConnectionInfo, clientId: string | undefined, reason: ConnectRefusal): void
  disconnected(info: ConnectionInfo, clientId: string, cause: CloseCause): void
  /** A packet against the specification; ends that connection. `rule` names the statement, e.g. `MQTT-3.3.1-4`. */
  protocolViolation(info: ConnectionInfo, clientId: string | undefined, rule: string, detail: string): void
  /** `bytes`: of the payload, here and below; those of the wire are counted by the transport. */
  messageReceived(qos: QoS, bytes: number): void
  messageSent(qos: QoS, bytes: number): void
  messageDropped(reason: DropReason, clientId: string | undefined, count: number): void
  sessionExpired(clientId: string): void
  /** A client has connected here that was connected to another node. `answered`: whether that has let go of it in time. */
  clientTakenOver(clientId: string, from: string, answered: boolean): void
  willPublished(clientId: string): void
  subscribed(clientId: string, filter: string, granted: number): void
  unsubscribed(clientId: string, filter: string): void
}

export interface ConnectedDetails {
  readonly version: 3 | 4 | 5
  readonly cleanStart: boolean
  readonly sessionPresent: boolean
  readonly username: string | undefined
  readonly grantedBy: string
  readonly keepAliveSeconds: number
}

export type ConnectRefusal =
  | RefusalReason
  | 'unsupported_version'
  | 'client_id_invalid'
  | 'not_authorized'
  | 'quota_exceeded'
  | 'server_unavailable'
  | 'shutting_down'

export type DropReason =
  | 'slow_receiver' // outbox above its soft limit, QoS 0
  | 'queue_full' // stored or volatile queue of a session
  | 'expired' // Message Expiry Interval
  | 'not_authorized' // publish denied by an access rule
  | 'receive_denied' // delivery denied by an access rule
  | 'too_large' // above the receiver's Maximum Packet Size [MQTT-3.1.2-25]
  | 'session_ended' // still queued when its session ended
  | 'store_failed' // could not be stored; the publisher, where there still is one, was told so
  | 'retained_limit' // retained store full
  | 'invalid_topic'
  | 'bridge_overflow' // a pipeline took longer than its buffer lasts

/** Of the publish pipeline and of the program that embeds the gateway. */
export interface PipelineEvents {
  messageDropped(reason: PipelineDropReason, clientId: string | undefined, count: number): void
  /** A hook of the embedding program threw: what it was to decide is refused. Warn. */
  hookFailed(hook: HookName, error: Error): void
  /** A listener or handler of the embedding program threw; the message went on its way. Warn. */
  listenerFailed(error: Error): void
  /** `deliver` of a subscriber threw: a defect of the gateway. The other subscribers have the message. Error. */
  subscriberFailed(clientId: string, error: Error): void
  /** Aedes reported an error that belongs to nobody. Error. */
  engineFailed(error: Error): void
}

export type PipelineDropReason = Extract<DropReason, 'store_failed' | 'queue_full'>

export type HookName =
  'preConnect' | 'authenticate' | 'authorizePublish' | 'authorizeSubscribe' | 'authorizeForward'

export interface StoreEvents {
  opened(
    kind: string,
    details: { readonly sessions: number; readonly retained: number; readonly milliseconds: number },
  ): void
  writeFailed(error: Error): void
  writesRecovered(): void
  /** Everything works, but what is stored may be lost in a way that the operator can mend. */
  risk(description: string): void
  /** One entry could not be read back: it is left out, named and counted, and nothing else suffers. */
  entryDamaged(what: string, key: string, error: Error): void
  queueDropped(clientId: string, policy: 'refuse-new' | 'drop-oldest', count: number): void
  /** Queued messages whose Message Expiry Interval has passed, found on the way and removed. */
  messagesExpired(clientId: string, count: number): void
  committed(operations: number, milliseconds: number): void
}

/** Of the connections to Redis, whoever uses them. */
export interface RedisEvents {
  /** A connection is gone or was refused; it is tried again. Once until it is usable again. Warn. */
  redisLost(connection: string, error: Error): void
  redisBack(connection: string): void
}

/** Of who lives. Names of nodes are for the log: no label holds one. */
export interface MembershipEvents {
  /** This node has joined, under that name. Info. */
  joined(self: string, others: number): void
  /** Info, as the next. */
  nodeJoined(node: string): void
  nodeLeft(node: string): void
  /** This node has taken over from one that is no more. Warn. */
  adopted(node: string, sessions: number, wills: number): void
  /** It is tried again with the next beat. Error. */
  adoptionFailed(node: string, error: Error): void
  /** The others took this node for dead: it lets go of everything, and joins again. Error. */
  expelled(self: string): void
  /** It is tried again in a second. Error. */
  rejoinFailed(error: Error): void
  /** Redis does not take the beat; it is tried again. Once until it does. Warn. */
  leaseNotRenewed(error: Error): void
  leaseRenewed(): void
  /** A value in what nodes keep of each other could not be used: it is removed, and nothing else suffers. Error. */
  leaseDamaged(key: string): void
  /** Somebody who watches threw: a defect of the gateway. Error. */
  watcherFailed(error: Error): void
}

/** Of what nodes tell each other. Nodes come and go: no label names one. */
export interface BusEvents {
  /** What a tick had for a node is in its stream. Counted. */
  entryWritten(items: number, bytes: number): void
  /** Counted. */
  entryRead(items: number, bytes: number): void
  /** An entry could not be read: it is left out, and nothing else suffers. Warn. */
  busEntryDamaged(error: Error): void
  /** The same of what nodes want: a key, or a field of one. What was in it is written anew by its node. Warn. */
  interestDamaged(key: string): void
  /** Entries of a node, or of all, are lost: what was in them is looked up where it is stored. Warn. */
  busEntriesMissed(node: string | undefined): void
  /** Messages for sessions of other nodes were dropped. */
  busDropped(reason: BusDropReason, count: number): void
  /** Redis does not take what is for other nodes; it is tried again. Once until it does. Warn. */
  busFailed(error: Error): void
  busRecovered(): void
}

export type BusDropReason =
  | 'backlog' // more waits for Redis than may, QoS 0
  | 'refused' // the same, QoS 1 and 2: the publisher was told, or the message is in the queue of its receiver
  | 'node_left' // not read by a node that is no more

/** Of the processes behind one set of ports (`node.workers`). Workers are numbered from 1. */
export interface WorkerEvents {
  workerReady(worker: number, pid: number): void
  /** It ended by itself; it is started again after `restartInMs`. Error. */
  workerExited(worker: number, how: string, restartInMs: number): void
  /** It runs what only one of them does: pipelines and the `$SYS` tree. */
  workerLeads(worker: number): void
}

export interface AccessEvents {
  /** A client was refused because the authenticator itself failed or did not answer in time. */
  authenticatorFailed(name: string, error: Error): void
  keysLoaded(name: string, count: number): void
  /**
   * A key set could not be fetched; it is tried again after `retryInMs`. With `keysHeld` 0 every token of this
   * authenticator is refused until then, otherwise the keys of the last fetch stay in use.
   */
  keysUnavailable(name: string, error: Error, keysHeld: number, retryInMs: number): void
}

/**
 * Pipelines count for themselves and report once a second, so that events cross a worker's boundary as plain data
 * and a record costs no call. `pipeline` is a name from the bridges file.
 */
export interface BridgeEvents {
  /** Starting, running, waiting for a system to come back (with the reason), stopped. */
  pipelineState(pipeline: string, state: PipelineState, detail: string | undefined): void
  /** What has happened since the former call. Called for the last time when the pipeline has stopped. */
  pipelineProgress(pipeline: string, progress: PipelineProgress): void
  /**
   * Records were dropped: at most one call a reason and ten seconds, with the number since the last call and the
   * topic and fault of one of them. Counting is up to `pipelineProgress`.
   */
  recordsDropped(
    pipeline: string,
    reason: RecordDropReason,
    count: number,
    topic: string,
    detail: string,
  ): void
  /** A write or a connection failed and is tried again after `delayMs`. At most one call every ten seconds. */
  pipelineRetrying(
    pipeline: string,
    what: 'source' | 'sink',
    attempt: number,
    delayMs: number,
    error: Error,
  ): void
  /** The worker that runs the pipelines ended by itself; it is started again after `restartInMs`. */
  bridgeWorkerExited(error: Error, restartInMs: number): void
}

export type PipelineState = 'starting' | 'running' | 'retrying' | 'stopped'

/** Counters are increments; gauges are the state at the time of the report. Plain data. */
export interface PipelineProgress {
  readonly recordsIn: number
  /** Written to the sink. */
  readonly recordsOut: number
  /** Left out by a transform, on purpose. */
  readonly filtered: number
  /** By reason, only those that occurred. */
  readonly dropped: Readonly<Partial<Record<RecordDropReason, number>>>
  /** Late for one of several windows, in time for another. */
  readonly partlyLate: number
  readonly windowsClosed: number
  readonly retries: number
  /** QoS 1 inputs that were settled before their window had been published, since too many were waiting. */
  readonly settledEarly: number
  /** Gauge: now minus the end of the last closed window, milliseconds; undefined before the first one. */
  readonly lagMs: number | undefined
  /** Gauge: groups that windows remember. */
  readonly groups: number
  /** Gauge: inputs that wait for being settled. */
  readonly unsettled: number
}
