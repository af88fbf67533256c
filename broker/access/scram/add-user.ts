import { readFile, rename, writeFile } from 'node:fs/promises'
import { GatewayError } from '../../contract/errors.js'
import { keysUnreadable } from '../keys-unreadable.js'
import { saslprep } from './saslprep.js'
import { isRemark, ScramUsers, SECRET_BYTES } from './users.js'
import { DEFAULT_ITERATIONS, deriveVerifier, SALT_BYTES } from './verifier.js'

export interface NewScramUser {
  readonly username: string
  readonly password: string
  readonly roles: readonly string[]
}

export interface AddUserOptions {
  /** 4,096 to 10,000,000, for a new file; an existing one keeps its own. */
  readonly iterations?: number | undefined
  readonly randomBytes: (size: number) => Buffer
}

/**
 * Puts a user into a SCRAM users file, in place of the one of that name if there is one. The file is made when it
 * is missing; only its owner may read it. It is replaced as a whole, so that a gateway never reads half of it; a
 * running gateway reads it at its next start.
 *
 * @throws GatewayError KEYS_UNREADABLE when the file cannot be read or written, CONFIG_INVALID for a user name or
 * password that SASLprep prohibits.
 */
export async function addScramUser(
  path: string,
  user: NewScramUser,
  options: AddUserOptions,
): Promise<'added' | 'replaced'> {
  const username = prepared(user.username, 'user name')
  const password = prepared(user.password, 'password')
  const existing = await readExisting(path)
  const text = existing ?? firstLine(options)
  let iterations: number
  try {
    iterations = ScramUsers.parse(text).iterations
  } catch (error) {
    throw keysUnreadable(path, error)
  }
  if (existing !== undefined && options.iterations !== undefined && options.iterations !== iterations)
    throw new GatewayError(
      'CONFIG_INVALID',
      `${path}: all users of this file have ${iterations} iterations`,
      {
        hint: 'Leave the number away, or begin another file.',
      },
    )

  const verifier = await deriveVerifier(password, options.randomBytes(SALT_BYTES), iterations)
  const entry = JSON.stringify({
    username,
    ...(user.roles.length > 0 && { roles: user.roles }),
    salt: verifier.salt.toString('base64'),
    storedKey: verifier.storedKey.toString('base64'),
    serverKey: verifier.serverKey.toString('base64'),
  })
  const lines = text.trimEnd().split('\n')
  const at = lines.findIndex((line) => !isRemark(line) && usernameOf(line) === username)
  lines.splice(at < 0 ? lines.length : at, at < 0 ? 0 : 1, entry)
  const fresh = `${path}.${options.randomBytes(8).toString('hex')}`
  try {
    await writeFile(fresh, `${lines.join('\n')}\n`, { mode: 0o600, flag: 'wx' })
    await rename(fresh, path)
  } catch (error) {
    throw keysUnreadable(path, error)
  }
  return at < 0 ? 'added' : 'replaced'
}

function prepared(text: string, what: string): string {
  const result = saslprep(text)
  if (result !== undefined) return result
  throw new GatewayError(
    'CONFIG_INVALID',
    `the ${what} is empty or has a character that SASLprep (RFC 4013) prohibits`,
  )
}

async function readExisting(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw keysUnreadable(path, error)
  }
}

function firstLine({ iterations = DEFAULT_ITERATIONS, randomBytes }: AddUserOptions): string {
  return JSON.stringify({ scramUsers: 1, iterations, secret: randomBytes(SECRET_BYTES).toString('base64') })
}

function usernameOf(line: string): unknown {
  return (JSON.parse(line) as { username?: unknown }).username
}
