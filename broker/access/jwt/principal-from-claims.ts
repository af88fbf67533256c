import type { JWTPayload } from 'jose'
import type { JwtAuthenticatorConfig } from '../../../config/schema.js'
import type { Principal } from '../../contract/principal.js'

/** Rules with `${role}` are filled in for each role when a client connects. */
const MAX_ROLES = 256

type ClaimNames = Pick<
  JwtAuthenticatorConfig,
  'name' | 'usernameClaim' | 'rolesClaim' | 'clockToleranceSeconds'
>

/**
 * The principal that verified claims speak of, or undefined when they do not say who it is, or say something that
 * cannot be roles: a deny rule for a role must not be lost on a misspelt claim.
 */
export function principalFromClaims(payload: JWTPayload, config: ClaimNames): Principal | undefined {
  const claims = new Map(Object.entries(payload))
  const username = claims.get(config.usernameClaim)
  const roles = rolesOf(claims.get(config.rolesClaim))
  if (typeof username !== 'string' || username === '' || roles === undefined) return undefined
  return {
    username,
    roles,
    claims: plainClaims(claims),
    expiresAt: expiryOf(payload.exp, config.clockToleranceSeconds),
    grantedBy: config.name,
  }
}

function rolesOf(claim: unknown): readonly string[] | undefined {
  if (claim === undefined) return []
  if (typeof claim === 'string') return [claim]
  if (!Array.isArray(claim) || claim.length > MAX_ROLES) return undefined
  return claim.every((role): role is string => typeof role === 'string') ? claim : undefined
}

/** Strings and finite numbers, on an object without prototype: `constructor` and `__proto__` are claims like any other. */
function plainClaims(claims: ReadonlyMap<string, unknown>): Principal['claims'] {
  const plain = Object.create(null) as Record<string, string | number>
  for (const [name, value] of claims)
    if (typeof value === 'string' || (typeof value === 'number' && Number.isFinite(value)))
      plain[name] = value
  return plain
}

/**
 * Milliseconds. A token is good until its `exp` and the tolerance have passed, for a connection as for a CONNECT:
 * otherwise one that was just accepted would end at once.
 */
function expiryOf(exp: number | undefined, toleranceSeconds: number): number | undefined {
  return exp === undefined ? undefined : Math.min((exp + toleranceSeconds) * 1000, Number.MAX_SAFE_INTEGER)
}
