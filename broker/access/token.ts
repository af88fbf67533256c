import { readFile, writeFile } from 'node:fs/promises'
import { importJWK, SignJWT, type JWK } from 'jose'
import { keysUnreadable } from './keys-unreadable.js'
import { readSecret } from './jwt/secret-file.js'

export interface TokenOptions {
  /** A shared secret (HS256), or a private key as JWK or as the first one of a key set. */
  readonly key: { readonly secretFile: string } | { readonly jwkFile: string }
  readonly subject: string
  readonly roles: readonly string[]
  /** Further claims, see `parseClaim`. */
  readonly claims: ReadonlyMap<string, string>
  readonly issuer?: string | undefined
  readonly audience?: string | undefined
  /** Seconds from now, above 0; undefined: the token does not expire. */
  readonly expiresInSeconds: number | undefined
  /** Milliseconds since the epoch. */
  readonly now: number
}

/**
 * A signed token for trying out. The names of the claims are the defaults of the JWT authenticator.
 *
 * @throws GatewayError KEYS_UNREADABLE when the file cannot be read or holds no key that signs.
 */
export async function makeToken(options: TokenOptions): Promise<string> {
  const { key, header } =
    'secretFile' in options.key
      ? { key: await readSecret(options.key.secretFile, ['HS256']), header: { alg: 'HS256' } }
      : await readSigningKey(options.key.jwkFile)
  const issuedAt = Math.floor(options.now / 1000)
  const token = new SignJWT({
    ...Object.fromEntries(options.claims),
    ...(options.roles.length > 0 && { roles: [...options.roles] }),
  })
    .setProtectedHeader({ ...header, typ: 'JWT' })
    .setSubject(options.subject)
    .setIssuedAt(issuedAt)
  if (options.issuer !== undefined) token.setIssuer(options.issuer)
  if (options.audience !== undefined) token.setAudience(options.audience)
  if (options.expiresInSeconds !== undefined) token.setExpirationTime(issuedAt + options.expiresInSeconds)
  return token.sign(key)
}

/**
 * Writes a fresh secret of 48 random bytes, as 64 characters of text: long enough for HS512. Only the owner may
 * read it, and an existing file is left as it is.
 *
 * @throws GatewayError KEYS_UNREADABLE when the file exists or cannot be written.
 */
export async function createSecretFile(path: string, randomBytes: (size: number) => Buffer): Promise<void> {
  try {
    await writeFile(path, `${randomBytes(48).toString('base64url')}\n`, { mode: 0o600, flag: 'wx' })
  } catch (error) {
    throw keysUnreadable(path, error)
  }
}

/**
 * `name=value` of the command line; the value may be empty and may hold further `=`. Undefined for anything else,
 * and for claims that have an option of their own or a meaning in time.
 */
export function parseClaim(text: string): readonly [name: string, value: string] | undefined {
  const at = text.indexOf('=')
  const name = text.slice(0, at)
  return at < 1 || RESERVED_CLAIMS.has(name) ? undefined : [name, text.slice(at + 1)]
}

const RESERVED_CLAIMS = new Set(['sub', 'roles', 'iss', 'aud', 'iat', 'nbf', 'exp'])

/** Seconds of `90s`, `15m`, `1h` or `30d`. */
export function parseExpiry(text: string): number | undefined {
  const [, amount, unit] = /^([1-9]\d{0,8})([smhd])$/.exec(text) ?? []
  if (amount === undefined || unit === undefined) return undefined
  return Number(amount) * { s: 1, m: 60, h: 3_600, d: 86_400 }[unit as 's' | 'm' | 'h' | 'd']
}

async function readSigningKey(path: string) {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    throw keysUnreadable(path, error)
  }
  try {
    const jwk = privateKeyOf(JSON.parse(text))
    const alg = jwk.alg ?? ALGORITHM_OF_CURVE[jwk.crv ?? ''] ?? 'RS256'
    return { key: await importJWK(jwk, alg), header: { alg, ...(jwk.kid !== undefined && { kid: jwk.kid }) } }
  } catch {
    // What went wrong may quote the text, which may be a private key.
    throw keysUnreadable(path, new Error('holds no private key in JSON (JWK) that can sign'))
  }
}

function privateKeyOf(content: unknown): JWK {
  const candidates = isRecord(content) && Array.isArray(content['keys']) ? content['keys'] : [content]
  const found: unknown = candidates.find((jwk) => isRecord(jwk) && typeof jwk['d'] === 'string')
  if (!isRecord(found)) throw new Error('no private key')
  return found
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

const ALGORITHM_OF_CURVE: Readonly<Record<string, string>> = {
  'P-256': 'ES256',
  'P-384': 'ES384',
  'P-521': 'ES512',
  Ed25519: 'EdDSA',
}
