import type { Socket } from 'node:net'

/** Where the sockets of listeners come from when another process accepts them: one port, many processes. */
export interface SocketSource {
  /** From now on each socket of the listener goes to `onSocket`, unread. */
  open(listener: string, onSocket: (socket: Socket) => void): void
}

/** What the transport knows of a connection before the first MQTT byte. */
export interface ConnectionInfo {
  /** Unique in this process; in every log line of the connection. */
  readonly connectionId: number
  readonly listener: string
  readonly transport: 'ws' | 'wss' | 'tcp' | 'tls'
  /** The client's address (as a trusted proxy reports it, where one is configured). */
  readonly remoteAddress: string
  readonly remotePort: number
  readonly loopback: boolean
  /** From `Authorization: Bearer` or the query of the WebSocket URL. Secret: never logged. */
  readonly bearerToken: string | undefined
  /** Subject common name of a verified client certificate. */
  readonly certificateName: string | undefined
}

/** Why a connection ends; label of `closed` metrics, and chooses the WebSocket close code. */
export type CloseCause =
  | 'client_disconnect' // MQTT DISCONNECT
  | 'peer_closed' // the socket ended without DISCONNECT
  | 'socket_error'
  | 'connect_timeout'
  | 'keep_alive_timeout'
  | 'protocol_error'
  | 'malformed_packet'
  | 'packet_too_large'
  | 'not_authorized'
  | 'authorization_expired'
  | 'taken_over'
  | 'slow_receiver'
  | 'quota_exceeded'
  | 'server_busy'
  | 'server_shutdown'
  | 'administrative'
  | 'internal_error'

/**
 * The sending side of a connection. All that is sent within a tick leaves as one write (over WebSocket: one
 * binary frame).
 */
export interface Outbox {
  /**
   * Queues bytes; never blocks, never throws, and does nothing once the connection is closing. `droppable` bytes
   * (QoS 0 deliveries) are dropped oldest first and counted while more than the soft limit is pending; when what
   * may not be dropped passes the hard limit the connection is closed as `slow_receiver`. The transport does not
   * modify the bytes and the caller must not either: they may be shared by many connections.
   */
  send(bytes: Buffer, droppable: boolean): void
  /** Bytes queued here and in the socket. */
  readonly pendingBytes: number
  /** Whether more than the soft limit is pending; `ConnectionHandler.drained` tells when that has ended. */
  readonly congested: boolean
  /**
   * Stops reading from the socket until `resume`: back-pressure on the client. Idempotent. What has been read
   * already may still be handed over (of a compressed WebSocket), and that the peer has gone is noticed only after
   * `resume`.
   */
  pause(): void
  resume(): void
  /** Sends what is queued (bounded in time), then closes with the code that fits `cause`. Idempotent. */
  close(cause: CloseCause): void
}

/** The receiving side: what `session/` gives to the transport for each connection. */
export interface ConnectionHandler {
  /**
   * What lies in `bytes` between `start` and `end` (default: all of it): in order, cut anywhere. The buffer is the
   * handler's until it returns; keep a copy, not a view.
   */
  received(bytes: Buffer, start?: number, end?: number): void
  /** `congested` has ended. */
  drained(): void
  /** The socket is gone; called exactly once, nothing is called after it. */
  closed(cause: CloseCause): void
}

export type AcceptConnection = (info: ConnectionInfo, outbox: Outbox) => ConnectionHandler
