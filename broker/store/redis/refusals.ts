import { neededRights } from './rights.js'

/** What a Redis that is there does not do, and what mends that. */
export interface Refusal {
  /** Behind "The Redis at ...". */
  readonly what: string
  readonly hint: string
  /** The user may not do something. */
  readonly isRight: boolean
}

export interface RefusalContext {
  readonly keyPrefix: string
  readonly isCluster: boolean
}

const RIGHTS =
  /NOPERM|ACL failure|no permissions|lacking the permissions|(?:user executing|user may not execute)/i

/**
 * Why Redis refuses a write although it is there: it goes on doing so until somebody mends that. Undefined: the error
 * says something else.
 */
export function refusalOf(text: string, context: RefusalContext): Refusal | undefined {
  // Where a script meets it, it is in the middle of what Redis says about the script.
  const said = text.replace(/^(?:ERR |@user_script: ?\d+: |-)*/, '').replace(/ script: [0-9a-f]{40},.*$/, '')
  if (said.startsWith('OOM'))
    return {
      what: 'has no memory left for messages',
      hint: 'Raise `maxmemory` of the Redis, or lower `limits.queuedMessages` and `limits.retainedBytes`.',
      isRight: false,
    }
  if (said.startsWith('READONLY'))
    return {
      what: 'is a read-only replica',
      hint: 'Point `redis` at the master, or use `redis.sentinels`.',
      isRight: false,
    }
  if (said.startsWith('NOREPLICAS'))
    return {
      what: 'has fewer replicas than its `min-replicas-to-write`, and refuses writes',
      hint: 'Bring its replicas back.',
      isRight: false,
    }
  if (said.startsWith('MISCONF'))
    return {
      what: `cannot save its data, and refuses writes (${said})`,
      hint: 'Give its disk room and its folder write access; the log of Redis says more.',
      isRight: false,
    }
  if (RIGHTS.test(said)) return { ...rightsRefusal(said, context), isRight: true }
  return undefined
}

/** The same for rights that were found missing: names of commands, `keys` or `channels`. */
export function missingRights(names: readonly string[], context: RefusalContext): Refusal {
  return { ...rightsRefusal(`refused: ${names.join(', ')}`, context), isRight: true }
}

function rightsRefusal(said: string, { keyPrefix, isCluster }: RefusalContext): Omit<Refusal, 'isRight'> {
  const named = /'([a-z|]+)' command/.exec(said)?.[1]
  return {
    what: `does not give the user the rights that the gateway needs (${said})`,
    hint: `Give them with: ACL SETUSER <user> ${neededRights(keyPrefix, isCluster, named)}`,
  }
}
