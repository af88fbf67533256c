import { decodeJwt, errors, jwtVerify, type JWTPayload, type JWTVerifyOptions } from 'jose'
import type { JwtAuthenticatorConfig } from '../../../config/schema.js'
import type { Clock } from '../../contract/clock.js'
import type { AuthDecision, Authenticator, Credentials, RefusalReason } from '../../contract/principal.js'
import { tokenOf } from './compact-token.js'
import { principalFromClaims } from './principal-from-claims.js'
import type { VerificationKeys } from './verification-keys.js'

/**
 * JSON Web Tokens (RFC 7519), signed. The token is the MQTT password or comes with the WebSocket handshake; see
 * `tokenOf`.
 *
 * The user name is always the one of the token. A client may leave the User Name of CONNECT empty or repeat that
 * name; another one is refused, so that logs, hooks and rules never see a name that the token does not prove.
 *
 * With `issuer`, tokens of other issuers are left to the authenticators further down the chain.
 */
export class JwtAuthenticator implements Authenticator {
  readonly name: string

  constructor(
    private readonly config: JwtAuthenticatorConfig,
    private readonly keys: VerificationKeys,
    private readonly clock: Clock,
  ) {
    this.name = config.name
  }

  /** @throws GatewayError KEYS_UNREADABLE while there are no keys to check a token with. */
  async authenticate(credentials: Credentials): Promise<AuthDecision> {
    const token = tokenOf(credentials)
    if (token === undefined || this.isOfAnotherIssuer(token)) return { kind: 'not-mine' }
    const verified = await this.verify(token)
    if (typeof verified === 'string') return { kind: 'refused', reason: verified }

    const principal = principalFromClaims(verified, this.config)
    if (principal === undefined) return { kind: 'refused', reason: 'token_invalid' }
    const { username, clientId } = credentials
    if (username !== undefined && username !== '' && username !== principal.username)
      return { kind: 'refused', reason: 'username_mismatch' }
    const { clientIdClaim } = this.config
    if (clientIdClaim !== undefined && ownClaim(verified, clientIdClaim) !== clientId)
      return { kind: 'refused', reason: 'client_id_mismatch' }
    return { kind: 'granted', principal }
  }

  private isOfAnotherIssuer(token: string): boolean {
    const { issuer } = this.config
    if (issuer === undefined) return false
    try {
      const claimed = decodeJwt(token).iss
      return typeof claimed === 'string' && claimed !== issuer
    } catch {
      // Not decodable: `verify` says what that means.
      return false
    }
  }

  private async verify(token: string): Promise<JWTPayload | RefusalReason> {
    const { algorithms, issuer, audience, clockToleranceSeconds } = this.config
    const options: JWTVerifyOptions = {
      algorithms,
      clockTolerance: clockToleranceSeconds,
      currentDate: new Date(this.clock.now()),
      ...(issuer !== undefined && { issuer }),
      ...(audience !== undefined && { audience }),
    }
    try {
      return (await jwtVerify(token, this.keys.keyFor, options)).payload
    } catch (error) {
      if (error instanceof errors.JWKSMultipleMatchingKeys) return verifyWithEach(token, error, options)
      return refusalFor(error)
    }
  }
}

/** A token that names no key: at most `MAX_KEYS` are tried. */
async function verifyWithEach(
  token: string,
  candidates: errors.JWKSMultipleMatchingKeys,
  options: JWTVerifyOptions,
): Promise<JWTPayload | RefusalReason> {
  for await (const key of candidates) {
    try {
      return (await jwtVerify(token, key, options)).payload
    } catch (error) {
      if (!(error instanceof errors.JWSSignatureVerificationFailed)) return refusalFor(error)
    }
  }
  return 'token_invalid'
}

/** What the client did wrong; what is wrong here (no keys) is thrown on. */
function refusalFor(error: unknown): RefusalReason {
  if (error instanceof errors.JWTExpired) return 'token_expired'
  if (
    error instanceof errors.JWTClaimValidationFailed &&
    error.claim === 'nbf' &&
    error.reason === 'check_failed'
  )
    return 'token_not_yet_valid'
  if (error instanceof errors.JOSEError) return 'token_invalid'
  throw error
}

function ownClaim(payload: JWTPayload, name: string): unknown {
  return Object.hasOwn(payload, name) ? payload[name] : undefined
}
