import { readFile } from 'node:fs/promises'
import type { AccessEvents } from '../../contract/events.js'
import { GatewayError } from '../../contract/errors.js'
import type { Readiness } from '../../contract/service.js'
import { keysUnreadable } from '../keys-unreadable.js'
import type { VerificationKeys } from './verification-keys.js'

/** A key must be as long as the output of the hash that it is used with (RFC 7518, 3.2). Bytes. */
const MIN_SECRET_BYTES: Readonly<Record<string, number>> = { HS256: 32, HS384: 48, HS512: 64 }

/**
 * The bytes of a shared secret: those of the file, without one line break at the end, which editors and `echo` put
 * there.
 *
 * @throws GatewayError KEYS_UNREADABLE when the file cannot be read or is too short for one of the algorithms.
 */
export async function readSecret(path: string, algorithms: readonly string[]): Promise<Uint8Array> {
  let content: Buffer
  try {
    content = await readFile(path)
  } catch (error) {
    throw keysUnreadable(path, error)
  }
  const secret = new Uint8Array(withoutLineBreak(content))
  for (const algorithm of algorithms) {
    const needed = MIN_SECRET_BYTES[algorithm] ?? 0
    if (secret.length >= needed) continue
    throw new GatewayError(
      'KEYS_UNREADABLE',
      `${path}: the secret has ${secret.length} bytes, ${algorithm} needs at least ${needed}`,
      { hint: 'openclaw token --secret-file FILE --create-secret writes a fresh one.' },
    )
  }
  return secret
}

/** One secret for every token; read once, when the gateway starts. */
export class SecretFile implements VerificationKeys {
  private secret: Uint8Array | undefined

  constructor(
    private readonly name: string,
    private readonly path: string,
    private readonly algorithms: readonly string[],
    private readonly events: Pick<AccessEvents, 'keysLoaded'>,
  ) {}

  async open(): Promise<void> {
    this.secret = await readSecret(this.path, this.algorithms)
    this.events.keysLoaded(this.name, 1)
  }

  close(): Promise<void> {
    this.secret = undefined
    return Promise.resolve()
  }

  readonly keyFor = (): Uint8Array => {
    if (this.secret === undefined) throw keysUnreadable(this.path, new Error('not read yet'))
    return this.secret
  }

  readiness(): Readiness {
    return { ready: true }
  }
}

function withoutLineBreak(content: Buffer): Buffer {
  let end = content.length
  if (content[end - 1] === 0x0a) end--
  if (end < content.length && content[end - 1] === 0x0d) end--
  return content.subarray(0, end)
}
