import type { CloseCause } from '../contract/transport.js'

export interface WebSocketClose {
  /** RFC 6455, 7.4.1, and its registry. */
  readonly code: number
  /** ASCII, 123 bytes at most. */
  readonly reason: string
}

/** What a browser's `CloseEvent` shows: whether it was its own doing, and whether to come back. */
export const webSocketCloses: Readonly<Record<CloseCause, WebSocketClose>> = {
  client_disconnect: { code: 1000, reason: '' },
  peer_closed: { code: 1000, reason: '' },
  socket_error: { code: 1011, reason: 'socket error' },
  connect_timeout: { code: 1008, reason: 'no CONNECT in time' },
  keep_alive_timeout: { code: 1008, reason: 'keep-alive timeout' },
  protocol_error: { code: 1002, reason: 'MQTT protocol error' },
  malformed_packet: { code: 1002, reason: 'malformed MQTT packet' },
  packet_too_large: { code: 1009, reason: 'MQTT packet too large' },
  not_authorized: { code: 1008, reason: 'not authorized' },
  authorization_expired: { code: 1008, reason: 'authorization expired' },
  taken_over: { code: 1008, reason: 'session taken over by a newer connection' },
  slow_receiver: { code: 1008, reason: 'receiver too slow' },
  quota_exceeded: { code: 1008, reason: 'quota exceeded' },
  server_busy: { code: 1013, reason: 'server busy, try again later' },
  server_shutdown: { code: 1001, reason: 'server is shutting down' },
  administrative: { code: 1008, reason: 'closed by an administrator' },
  internal_error: { code: 1011, reason: 'internal error' },
}
