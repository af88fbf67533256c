import type { Principal, RefusalReason } from './principal.js'

/**
 * Enhanced authentication (MQTT 5, 4.12): client and server exchange Authentication Data, in CONNECT, AUTH and
 * CONNACK, until the method has decided. A method takes the place of the chain of authenticators for that client.
 */
export interface EnhancedAuthentication {
  /** Undefined: no such method, the client is answered 0x8C Bad authentication method [MQTT-4.12.0-1]. */
  mechanism(method: string): AuthenticationMechanism | undefined
}

export interface AuthenticationMechanism {
  /** The Authentication Method of the packets, e.g. `SCRAM-SHA-256`. */
  readonly method: string
  /** Begins the exchange of one CONNECT, or of one re-authentication. Synchronous; nothing is sent yet. */
  begin(peer: ExchangePeer): AuthenticationExchange
}

export interface ExchangePeer {
  readonly clientId: string
  /** User Name of CONNECT. Not proven: a method may only compare it with what it has found out. */
  readonly username: string | undefined
  /**
   * Who the connection belongs to, when this is a re-authentication (4.12.1). A method refuses (`username_mismatch`)
   * a client that turns out to be somebody else: its session and subscriptions are those of the first one.
   */
  readonly current: Principal | undefined
}

export interface AuthenticationExchange {
  /**
   * Takes the Authentication Data of CONNECT or AUTH, undefined when the packet has none. The caller waits for the
   * answer before it calls again, and not after `success` or `refused`. Never rejects: what fails inside is refused
   * as `authenticator_failed`, what takes too long as `authenticator_timeout`.
   */
  step(data: Buffer | undefined): Promise<ExchangeStep>
}

export type ExchangeStep =
  /** Goes out as AUTH 0x18 Continue authentication [MQTT-4.12.0-2]. */
  | { readonly kind: 'continue'; readonly data: Buffer }
  /** `data` goes out in CONNACK, or for a re-authentication in AUTH 0x00. */
  | { readonly kind: 'success'; readonly data: Buffer | undefined; readonly principal: Principal }
  | { readonly kind: 'refused'; readonly reason: RefusalReason }
