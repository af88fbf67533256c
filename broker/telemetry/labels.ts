import type {
  BusDropReason,
  ConnectRefusal,
  DropReason,
  HandshakeRefusal,
  HookName,
} from '../contract/events.js'
import type { CloseCause } from '../contract/transport.js'

/** The closed sets of the contract as lists. A member that the contract gains fails to compile until it is here. */
export const handshakeRefusals = closedSet<HandshakeRefusal>({
  bad_request: true,
  unknown_path: true,
  subprotocol: true,
  origin: true,
  too_many_connections: true,
  tls_handshake: true,
  handshake_timeout: true,
  untrusted_proxy: true,
  proxy_header: true,
  shutting_down: true,
})

export const closeCauses = closedSet<CloseCause>({
  client_disconnect: true,
  peer_closed: true,
  socket_error: true,
  connect_timeout: true,
  keep_alive_timeout: true,
  protocol_error: true,
  malformed_packet: true,
  packet_too_large: true,
  not_authorized: true,
  authorization_expired: true,
  taken_over: true,
  slow_receiver: true,
  quota_exceeded: true,
  server_busy: true,
  server_shutdown: true,
  administrative: true,
  internal_error: true,
})

export const connectRefusals = closedSet<ConnectRefusal>({
  no_credentials: true,
  bad_credentials: true,
  token_expired: true,
  token_not_yet_valid: true,
  token_invalid: true,
  username_mismatch: true,
  client_id_mismatch: true,
  authenticator_timeout: true,
  authenticator_failed: true,
  server_busy: true,
  unsupported_version: true,
  client_id_invalid: true,
  not_authorized: true,
  quota_exceeded: true,
  server_unavailable: true,
  shutting_down: true,
})

export const dropReasons = closedSet<DropReason>({
  slow_receiver: true,
  queue_full: true,
  expired: true,
  not_authorized: true,
  receive_denied: true,
  too_large: true,
  session_ended: true,
  store_failed: true,
  retained_limit: true,
  invalid_topic: true,
  bridge_overflow: true,
})

export const busDropReasons = closedSet<BusDropReason>({
  backlog: true,
  refused: true,
  node_left: true,
})

export const hookNames = closedSet<HookName>({
  preConnect: true,
  authenticate: true,
  authorizePublish: true,
  authorizeSubscribe: true,
  authorizeForward: true,
})

function closedSet<Member extends string>(members: Readonly<Record<Member, true>>): readonly Member[] {
  return Object.keys(members) as Member[]
}
