import type { RedisCommands } from '../../contract/cluster.js'

/**
 * What a node has in Redis beside the store; both keys have one hash tag, and with it one slot.
 *
 * | key                             | kind   | what                                                     |
 * | ------------------------------- | ------ | -------------------------------------------------------- |
 * | `<prefix>{bus:<node>}:stream`   | stream | entries of other nodes for the node; field `e`           |
 * | `<prefix>{bus:<node>}:interest` | hash   | what its subscribers want: `f<filter>` to members, `version` |
 */
export interface BusKeys {
  readonly stream: string
  readonly interest: string
}

export function busKeys(prefix: string, node: string): BusKeys {
  const base = `${prefix}{bus:${node}}:`
  return { stream: `${base}stream`, interest: `${base}interest` }
}

/**
 * How long the keys of a node outlive its last sign of life, seconds: the bound for the age of what nobody reads, and
 * what sees to it that nothing is left when nobody is there to remove it. Longer than any lease.
 */
export const KEPT_SECONDS = 600
/** The same for a node that nobody has heard of: no other one removes what it leaves. Longer than two renewals are apart. */
export const KEPT_UNKNOWN_SECONDS = 60

export async function removeKeys(redis: RedisCommands, keys: BusKeys): Promise<void> {
  await redis.command('del', keys.stream, keys.interest)
}
