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
}

export type HandshakeRefusal =
  | 'bad_request'
  | 'unknown_path'
  | 'subprotocol'
  | 'origin'
  | 'too_many_connections'
  | 'tls_handshake'
  | 'handshake_timeout'
  | 'shutting_down'

export interface SessionEvents {
  connected(info: ConnectionInfo, clientId: string, details: ConnectedDetails): void
  connectRefused(info: ConnectionInfo, clientId: string | undefined, reason: ConnectRefusal): void
  disconnected(info: ConnectionInfo, clientId: string, cause: CloseCause): void
  /** A packet against the specification; ends that connection. `rule` names the statement, e.g. `MQTT-3.3.1-4`. */
  protocolViolation(info: ConnectionInfo, clientId: string | undefined, rule: string, detail: string): void
  messageReceived(qos: QoS, bytes: number): void
  messageSent(qos: QoS, bytes: number): void
  messageDropped(reason: DropReason, clientId: string | undefined, count: number): void
  sessionExpired(clientId: string): void
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
  | 'server_busy'
  | 'shutting_down'

export type DropReason =
  | 'slow_receiver' // outbox above its soft limit, QoS 0
  | 'queue_full' // stored or volatile queue of a session
  | 'expired' // Message Expiry Interval
  | 'not_authorized' // publish denied by an access rule
  | 'receive_denied' // delivery denied by an access rule
  | 'too_large' // above the receiver's Maximum Packet Size [MQTT-3.1.2-25]
  | 'session_ended' // still queued when its session ended
  | 'store_failed' // could not be stored; the publisher was told so
  | 'retained_limit' // retained store full
  | 'invalid_topic'
  | 'bridge_overflow' // a pipeline took longer than its buffer lasts

export interface StoreEvents {
  opened(
    kind: string,
    details: { readonly sessions: number; readonly retained: number; readonly milliseconds: number },
  ): void
  writeFailed(error: Error): void
  writesRecovered(): void
  /** One entry could not be read back: it is left out, named and counted, and nothing else suffers. */
  entryDamaged(what: string, key: string, error: Error): void
  queueDropped(clientId: string, policy: 'refuse-new' | 'drop-oldest', count: number): void
  committed(operations: number, milliseconds: number): void
}

export interface AccessEvents {
  authenticatorFailed(name: string, error: Error): void
  keysLoaded(name: string, count: number): void
}
