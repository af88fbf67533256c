/** Who a connection turned out to be. Immutable; compared by identity (a re-authentication makes a new one). */
export interface Principal {
  /** Undefined for an anonymous client. */
  readonly username: string | undefined
  readonly roles: readonly string[]
  /** Claims of the token, for `${claims.x}` in access rules. Values that are not strings or numbers are left out. */
  readonly claims: Readonly<Record<string, string | number>>
  /** When the right to be connected ends, milliseconds since the epoch; undefined: never. */
  readonly expiresAt: number | undefined
  /** Name of the authenticator that granted it, or `anonymous`. */
  readonly grantedBy: string
}

/** What a client shows to get in. Collected from CONNECT and the transport; never logged. */
export interface Credentials {
  readonly clientId: string
  readonly username: string | undefined
  readonly password: Buffer | undefined
  /** Token of an `Authorization: Bearer` header, or of the query of a WebSocket URL. */
  readonly bearerToken: string | undefined
  /** Subject common name of a client certificate that the TLS layer has verified. */
  readonly certificateName: string | undefined
  readonly remoteAddress: string
  /** Whether the peer is on the loopback interface (and no proxy spoke for somebody else). */
  readonly loopback: boolean
  readonly listener: string
}

export type AuthDecision =
  | { readonly kind: 'granted'; readonly principal: Principal }
  /** The credentials are this authenticator's kind and are wrong. Ends the chain. `reason` is for the log only. */
  | { readonly kind: 'refused'; readonly reason: RefusalReason }
  /** Not this authenticator's kind of credentials: the next one is asked. */
  | { readonly kind: 'not-mine' }

/** Label of the metric and the log line: a closed set, so that a client cannot invent label values. */
export type RefusalReason =
  | 'no_credentials'
  | 'bad_credentials'
  | 'token_expired'
  | 'token_not_yet_valid'
  | 'token_invalid'
  | 'username_mismatch'
  | 'client_id_mismatch'
  | 'authenticator_timeout'
  | 'authenticator_failed'
  /** As many decisions are waiting as may; the client should come back later. */
  | 'server_busy'

/** One member of the chain. */
export interface Authenticator {
  readonly name: string
  /** Decides within `signal`'s life; may reject, which counts as `authenticator_failed`. Called concurrently. */
  authenticate(credentials: Credentials, signal: AbortSignal): Promise<AuthDecision>
}

/** The whole chain, each member with its timeout, and anonymous access as its last word. Never rejects. */
export interface Authentication {
  decide(credentials: Credentials): Promise<Exclude<AuthDecision, { kind: 'not-mine' }>>
}
