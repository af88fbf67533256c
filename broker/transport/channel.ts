import type { CloseCause } from '../contract/transport.js'

/**
 * What lies below an outbox: one socket and its framing. There are three: bare bytes (tcp, tls), WebSocket frames
 * by hand, and the `ws` package for connections that negotiated compression.
 */
export interface Channel {
  /**
   * Sends the entries of a batch, `length` bytes in all, as one unit. False: the peer does not keep up;
   * `writable` of the owner follows, and nothing is to be written before. Not called after `end`.
   */
  write(batch: readonly Buffer[], length: number): boolean
  /** Bytes handed over and not yet taken by the operating system. */
  readonly bufferedBytes: number
  pause(): void
  resume(): void
  /** Takes leave of the peer with what `cause` means on this transport, and closes when the peer does. */
  end(cause: CloseCause): void
  /** Closes at once. */
  destroy(): void
}

/** What a channel tells: the connection above it. None of these throws. */
export interface ChannelOwner {
  /** What lies in `bytes` between `start` and `end`; see `ConnectionHandler`. */
  received(bytes: Buffer, start: number, end: number): void
  writable(): void
  /** The channel cannot go on; the owner sends what it still has and calls `end`. */
  ending(cause: CloseCause): void
  /** The socket has failed; `gone` follows by itself. */
  failed(cause: CloseCause): void
  /** The socket is closed. Called once, the last call. */
  gone(): void
}

/** Bytes on the wire, framing included, TLS and handshakes not. */
export interface TrafficCounter {
  bytesReceived(count: number): void
  bytesSent(count: number): void
}
