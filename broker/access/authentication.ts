import type { Clock } from '../contract/clock.js'
import type { AccessEvents } from '../contract/events.js'
import type {
  AuthDecision,
  Authentication,
  Authenticator,
  Credentials,
  Principal,
} from '../contract/principal.js'
import { withTimeout } from './timeout.js'
import type { DecisionSlots } from './decision-slots.js'

export interface AuthenticationOptions {
  /** Who may connect without credentials; see `isAnonymous`. */
  readonly anonymous: 'loopback' | 'always' | 'never'
  /** Asked in this order. */
  readonly authenticators: readonly TimedAuthenticator[]
  readonly clock: Clock
  readonly events: Pick<AccessEvents, 'authenticatorFailed'>
  readonly slots: DecisionSlots
}

export interface TimedAuthenticator {
  readonly authenticator: Authenticator
  /** Longest time for one decision, milliseconds. */
  readonly timeoutMs: number
}

/**
 * The chain of authenticators, closed at its end: the first that grants or refuses decides, one that fails or does
 * not answer in time refuses, and a client whose credentials are nobody's kind is refused. Anonymous access is for
 * clients that show none.
 */
export class AuthenticatorChain implements Authentication {
  constructor(private readonly options: AuthenticationOptions) {}

  async decide(credentials: Credentials): Promise<ChainDecision> {
    const { authenticators, slots } = this.options
    if (authenticators.length === 0) return this.withoutAuthenticator(credentials)
    // No authenticator gets to see more than it could be asked to read.
    if (oversized(credentials)) return refused('bad_credentials')
    return slots.run(
      () => this.askInTurn(credentials),
      () => refused('server_busy'),
    )
  }

  private async askInTurn(credentials: Credentials): Promise<ChainDecision> {
    for (const member of this.options.authenticators) {
      const decision = await this.ask(member, credentials)
      if (decision.kind !== 'not-mine') return decision
    }
    return this.withoutAuthenticator(credentials)
  }

  private async ask(
    { authenticator, timeoutMs }: TimedAuthenticator,
    credentials: Credentials,
  ): Promise<AuthDecision> {
    const { clock, events } = this.options
    try {
      const decision = await withTimeout(clock, timeoutMs, (signal) =>
        authenticator.authenticate(credentials, signal),
      )
      if (decision !== undefined) return decision
      events.authenticatorFailed(authenticator.name, new Error(`no decision within ${timeoutMs} ms`))
      return refused('authenticator_timeout')
    } catch (error) {
      events.authenticatorFailed(
        authenticator.name,
        error instanceof Error ? error : new Error(String(error)),
      )
      return refused('authenticator_failed')
    }
  }

  private withoutAuthenticator(credentials: Credentials): ChainDecision {
    if (isAnonymous(credentials, this.options.anonymous)) return { kind: 'granted', principal: ANONYMOUS }
    return refused(showsSecret(credentials) ? 'bad_credentials' : 'no_credentials')
  }
}

type ChainDecision = Exclude<AuthDecision, { kind: 'not-mine' }>

/** One for all of them: nothing tells anonymous clients apart. */
const ANONYMOUS: Principal = {
  username: undefined,
  roles: [],
  claims: Object.freeze({}),
  expiresAt: undefined,
  grantedBy: 'anonymous',
}

/** Bytes of a password or characters of a token. JSON Web Tokens with hundreds of roles stay below. */
export const MAX_CREDENTIAL_LENGTH = 16_384

function oversized({ password, bearerToken }: Credentials): boolean {
  return (password?.length ?? 0) > MAX_CREDENTIAL_LENGTH || (bearerToken?.length ?? 0) > MAX_CREDENTIAL_LENGTH
}

/**
 * `loopback`: clients on this machine that show neither a user name nor a secret. `always`: every client that shows
 * no secret; a user name alone proves nothing and is not kept. A secret that no authenticator has claimed is wrong
 * rather than absent: who mistypes a password should be told. A client certificate changes nothing here: without
 * an authenticator that reads it, it only opened the TLS connection.
 */
function isAnonymous(credentials: Credentials, setting: AuthenticationOptions['anonymous']): boolean {
  if (setting === 'never' || showsSecret(credentials)) return false
  return setting === 'always' || (credentials.loopback && (credentials.username ?? '') === '')
}

/** Empty fields count as absent: MQTT 3.1.1 has no password without a user name [MQTT-3.1.2-22 of 3.1.1]. */
function showsSecret({ password, bearerToken }: Credentials): boolean {
  return (password?.length ?? 0) > 0 || (bearerToken ?? '') !== ''
}

function refused(reason: Extract<AuthDecision, { kind: 'refused' }>['reason']): ChainDecision {
  return { kind: 'refused', reason }
}
