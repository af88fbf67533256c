import { createLocalJWKSet, type CryptoKey, type JSONWebKeySet, type JWK, type JWTVerifyGetKey } from 'jose'

/** Keys that can check signatures. */
export interface KeySet {
  readonly keyFor: JWTVerifyGetKey<CryptoKey>
  readonly count: number
}

/** A token that names no key is tried with every key of its type. */
export const MAX_KEYS = 100
const MIN_RSA_BITS = 2048

/**
 * Reads a JSON Web Key Set (RFC 7517), or a single key. Keys for other purposes, of other types or damaged ones are
 * left out, and so are the private parts of a key pair.
 *
 * @throws Error that says, without any of the content, why no key can be used.
 */
export async function readKeySet(text: string, algorithms: readonly string[]): Promise<KeySet> {
  const keys = parseKeys(text)
  if (keys.length > MAX_KEYS) throw new Error(`has ${keys.length} keys, at most ${MAX_KEYS} are taken`)
  const usable: JWK[] = []
  for (const key of keys.map(publicPart)) if (await isUsable(key, algorithms)) usable.push(key)
  if (usable.length === 0)
    throw new Error(
      `has no key that can check signatures of ${algorithms.join(', ')} (keys in it: ${keys.length})`,
    )
  return { keyFor: createLocalJWKSet({ keys: usable }), count: usable.length }
}

function parseKeys(text: string): JWK[] {
  let content: unknown
  try {
    content = JSON.parse(text)
  } catch {
    // The message of JSON.parse quotes the text, which may be a private key.
    throw new Error('is not JSON')
  }
  const keys = isRecord(content) && 'keys' in content ? content['keys'] : [content]
  if (!Array.isArray(keys) || !keys.every(isJwk)) throw new Error('is not a JSON Web Key Set')
  return keys
}

/** What says how a key pair may be used (`key_ops: [sign]`) is about its private half. */
function publicPart(jwk: JWK): JWK {
  const isPrivate = 'd' in jwk
  const taken = ['kty', 'crv', 'n', 'e', 'x', 'y', 'kid', 'alg', 'use', ...(isPrivate ? [] : ['key_ops'])]
  return Object.fromEntries(Object.entries(jwk).filter(([member]) => taken.includes(member)))
}

async function isUsable(jwk: JWK, algorithms: readonly string[]): Promise<boolean> {
  const keySet: JSONWebKeySet = { keys: [jwk] }
  for (const alg of algorithms) {
    try {
      const key = await createLocalJWKSet(keySet)({ alg })
      if ('modulusLength' in key.algorithm && Number(key.algorithm.modulusLength) < MIN_RSA_BITS) continue
      return true
    } catch {
      // Not for this algorithm, or damaged: the next one, or the key is left out.
    }
  }
  return false
}

function isJwk(value: unknown): value is JWK {
  return isRecord(value) && typeof value['kty'] === 'string'
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
