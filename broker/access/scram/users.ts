import { decodeBase64 } from './messages.js'
import { saslprep } from './saslprep.js'
import {
  hmac,
  KEY_BYTES,
  MAX_ITERATIONS,
  MIN_ITERATIONS,
  SALT_BYTES,
  type ScramVerifier,
} from './verifier.js'

/**
 * The users of a SCRAM users file: text, one JSON object a line, empty lines and lines with `#` ignored. The first
 * object is about the file, each further one is a user:
 *
 *     {"scramUsers":1,"iterations":15000,"secret":"..."}
 *     {"username":"ann","roles":["operator"],"salt":"...","storedKey":"...","serverKey":"..."}
 *
 * All users have the same number of iterations, since the server tells it to whoever asks for a user: one with
 * another number would stand out against those that do not exist.
 */
export class ScramUsers {
  private constructor(
    readonly iterations: number,
    private readonly secret: Buffer,
    private readonly users: ReadonlyMap<string, ScramAccount>,
  ) {}

  /** @throws Error that names the line and not what is in it. */
  static parse(text: string): ScramUsers {
    let head: { iterations: number; secret: Buffer } | undefined
    const users = new Map<string, ScramAccount>()
    for (const [index, line] of text.split('\n').entries()) {
      if (isRemark(line)) continue
      const place = `line ${index + 1}`
      const fields = parseObject(line, place)
      if (head === undefined) {
        head = readHead(fields, place)
        continue
      }
      const { username, account } = readUser(fields, head.iterations, place)
      if (users.has(username)) throw new Error(`${place}: a user for the second time`)
      users.set(username, account)
    }
    if (head === undefined) throw new Error('the line about the file is missing')
    return new ScramUsers(head.iterations, head.secret, users)
  }

  get count(): number {
    return this.users.size
  }

  /**
   * The account, or for a user that does not exist one that no password fits. Its salt is always the same, also
   * after a restart and on other nodes, so that nobody learns who exists (RFC 5802, 9).
   */
  account(username: string): ScramAccount {
    const nobody: ScramAccount = {
      exists: false,
      roles: [],
      verifier: {
        salt: hmac(this.secret, `salt ${username}`).subarray(0, SALT_BYTES),
        iterations: this.iterations,
        storedKey: hmac(this.secret, `stored ${username}`),
        serverKey: hmac(this.secret, `server ${username}`),
      },
    }
    return this.users.get(username) ?? nobody
  }
}

export interface ScramAccount {
  readonly exists: boolean
  readonly roles: readonly string[]
  readonly verifier: ScramVerifier
}

export const SECRET_BYTES = 32

export function isRemark(line: string): boolean {
  return line.trim() === '' || line.trimStart().startsWith('#')
}

type Fields = Readonly<Record<string, unknown>>

function parseObject(line: string, place: string): Fields {
  try {
    const value: unknown = JSON.parse(line)
    if (typeof value === 'object' && value !== null) return value as Fields
  } catch {
    // Said below, without what JSON.parse quotes.
  }
  throw new Error(`${place}: not a JSON object`)
}

function readHead(fields: Fields, place: string) {
  const { scramUsers, iterations } = fields as { scramUsers?: unknown; iterations?: unknown }
  if (scramUsers !== 1) throw new Error(`${place}: not a users file of version 1 ("scramUsers":1)`)
  if (
    typeof iterations !== 'number' ||
    !Number.isInteger(iterations) ||
    iterations < MIN_ITERATIONS ||
    iterations > MAX_ITERATIONS
  )
    throw new Error(`${place}: "iterations" is not a number from ${MIN_ITERATIONS} to ${MAX_ITERATIONS}`)
  return { iterations, secret: readBytes(fields, 'secret', SECRET_BYTES, place) }
}

function readUser(fields: Fields, iterations: number, place: string) {
  const { username, roles = [] } = fields as { username?: unknown; roles?: unknown }
  if (typeof username !== 'string' || saslprep(username) !== username)
    throw new Error(`${place}: "username" is not a prepared user name`)
  if (!Array.isArray(roles) || !roles.every((role): role is string => typeof role === 'string'))
    throw new Error(`${place}: "roles" is not a list of strings`)
  const verifier: ScramVerifier = {
    iterations,
    salt: readBytes(fields, 'salt', SALT_BYTES, place),
    storedKey: readBytes(fields, 'storedKey', KEY_BYTES, place),
    serverKey: readBytes(fields, 'serverKey', KEY_BYTES, place),
  }
  return { username, account: { exists: true, roles, verifier } }
}

function readBytes(fields: Fields, name: string, length: number, place: string): Buffer {
  const text = fields[name]
  const bytes = typeof text === 'string' ? decodeBase64(text) : undefined
  if (bytes?.length !== length) throw new Error(`${place}: "${name}" is not ${length} bytes in base64`)
  return bytes
}
