import { readFile } from 'node:fs/promises'
import type {
  AuthenticationExchange,
  AuthenticationMechanism,
  ExchangePeer,
  ExchangeStep,
} from '../../contract/enhanced-authentication.js'
import type { AccessEvents } from '../../contract/events.js'
import type { RefusalReason } from '../../contract/principal.js'
import { keysUnreadable } from '../keys-unreadable.js'
import { parseClientFinal, parseClientFirst, type ClientFirstMessage } from './messages.js'
import { saslprep } from './saslprep.js'
import { ScramUsers, type ScramAccount } from './users.js'
import { proves, serverSignature } from './verifier.js'

/**
 * SCRAM-SHA-256 (RFC 5802, RFC 7677): the client proves that it knows the password, the server that it knows the
 * verifier, and neither can be learned from what they say. Without channel binding.
 *
 * User Name of CONNECT follows the rule of all authenticators: empty, or the name that is proven.
 */
export class ScramMechanism implements AuthenticationMechanism {
  readonly method = 'SCRAM-SHA-256'
  private users: ScramUsers | undefined

  constructor(private readonly options: ScramOptions) {}

  /** @throws GatewayError KEYS_UNREADABLE when the users file cannot be read or has a bad line. */
  async open(): Promise<void> {
    const { usersFile, name, events } = this.options
    try {
      this.users = ScramUsers.parse(await readFile(usersFile, 'utf8'))
    } catch (error) {
      throw keysUnreadable(usersFile, error)
    }
    events.keysLoaded(name, this.users.count)
  }

  begin(peer: ExchangePeer): AuthenticationExchange {
    if (this.users === undefined) throw keysUnreadable(this.options.usersFile, new Error('not read yet'))
    return new ScramExchange(this.users, peer, this.options)
  }
}

export interface ScramOptions {
  readonly name: string
  readonly usersFile: string
  readonly events: Pick<AccessEvents, 'keysLoaded'>
  readonly randomBytes: (size: number) => Buffer
}

interface Challenge {
  readonly first: ClientFirstMessage
  readonly username: string
  readonly account: ScramAccount
  readonly nonce: string
  readonly serverFirst: string
}

class ScramExchange implements AuthenticationExchange {
  private challenge: Challenge | undefined
  private asked = false

  constructor(
    private readonly users: ScramUsers,
    private readonly peer: ExchangePeer,
    private readonly options: ScramOptions,
  ) {}

  step(data: Buffer | undefined): Promise<ExchangeStep> {
    return Promise.resolve(this.challenge === undefined ? this.first(data) : this.final(data, this.challenge))
  }

  private first(data: Buffer | undefined): ExchangeStep {
    if (data === undefined && !this.asked) {
      // CONNECT without Authentication Data: the client speaks first all the same (RFC 4422, 5.1).
      this.asked = true
      return { kind: 'continue', data: Buffer.alloc(0) }
    }
    const first = data && parseClientFirst(data)
    const username = first && saslprep(first.username)
    if (first === undefined || username === undefined) return refused('bad_credentials')
    const account = this.users.account(username)
    const nonce = first.nonce + this.options.randomBytes(18).toString('base64')
    const { salt, iterations } = account.verifier
    const serverFirst = `r=${nonce},s=${salt.toString('base64')},i=${iterations}`
    this.challenge = { first, username, account, nonce, serverFirst }
    return { kind: 'continue', data: Buffer.from(serverFirst) }
  }

  private final(data: Buffer | undefined, challenge: Challenge): ExchangeStep {
    const { first, username, account, nonce, serverFirst } = challenge
    const final = data && parseClientFinal(data)
    if (final === undefined || final.nonce !== nonce) return refused('bad_credentials')
    if (!final.channelBinding.equals(Buffer.from(first.gs2Header))) return refused('bad_credentials')
    const authMessage = `${first.bare},${serverFirst},${final.withoutProof}`
    // The proof is checked for users that do not exist, too: an answer must not come earlier for them.
    if (!proves(account.verifier, authMessage, final.proof) || !account.exists)
      return refused('bad_credentials')

    // Only now, so that these tell nothing to somebody who does not know the password.
    const { username: claimed, current } = this.peer
    if (claimed !== undefined && claimed !== '' && saslprep(claimed) !== username)
      return refused('username_mismatch')
    if (current !== undefined && current.username !== username) return refused('username_mismatch')
    return {
      kind: 'success',
      data: Buffer.from(`v=${serverSignature(account.verifier, authMessage).toString('base64')}`),
      principal: {
        username,
        roles: account.roles,
        claims: {},
        expiresAt: undefined,
        grantedBy: this.options.name,
      },
    }
  }
}

function refused(reason: RefusalReason): ExchangeStep {
  return { kind: 'refused', reason }
}
