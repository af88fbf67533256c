import { createHash, createHmac, pbkdf2, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'

/** What a server keeps of a password (RFC 5802, 3): it can check a proof, but not make one. */
export interface ScramVerifier {
  readonly salt: Buffer
  /** Rounds of PBKDF2 that the client carries out for every login. */
  readonly iterations: number
  readonly storedKey: Buffer
  readonly serverKey: Buffer
}

/** SHA-256: length of keys, proofs and signatures in bytes. */
export const KEY_BYTES = 32
export const SALT_BYTES = 16
/** The least that RFC 7677, section 4, allows. */
export const MIN_ITERATIONS = 4_096
export const MAX_ITERATIONS = 10_000_000
/**
 * A tenth of a second on a machine of RFC 7677's time, a few milliseconds on one of today. The client pays it at
 * every login, the gateway once for each password. A password that a person chose deserves more, a random one for a
 * small device is safe with 4,096.
 */
export const DEFAULT_ITERATIONS = 15_000

/** `password` is prepared (`saslprep`). The work is done off the event loop. */
export async function deriveVerifier(
  password: string,
  salt: Buffer,
  iterations: number,
): Promise<ScramVerifier> {
  const saltedPassword = await promisify(pbkdf2)(password, salt, iterations, KEY_BYTES, 'sha256')
  return {
    salt,
    iterations,
    storedKey: sha256(hmac(saltedPassword, 'Client Key')),
    serverKey: hmac(saltedPassword, 'Server Key'),
  }
}

/** Whether the client knows the password. Takes the same time whatever is wrong with a proof of the right length. */
export function proves({ storedKey }: ScramVerifier, authMessage: string, proof: Buffer): boolean {
  if (proof.length !== KEY_BYTES) return false
  const signature = hmac(storedKey, authMessage)
  const clientKey = Buffer.from(proof.map((byte, index) => byte ^ (signature[index] ?? 0)))
  return timingSafeEqual(sha256(clientKey), storedKey)
}

/** Shows the client that the server knows the verifier. */
export function serverSignature({ serverKey }: ScramVerifier, authMessage: string): Buffer {
  return hmac(serverKey, authMessage)
}

export function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}

function sha256(data: Buffer): Buffer {
  return createHash('sha256').update(data).digest()
}
