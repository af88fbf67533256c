import { keysOf, type RedisServer } from '../../broker/store/redis/testing.js'

/**
 * What nodes that have gone leave for a time: the answer to the last batch of each (an hour), and the marks that keep them
 * from writing (a day). What belongs to the store as a whole: its counters, and its last changes.
 */
const LASTING = /:n:[\w-]+$|\{nodes\}:gone$|\{0\}:(?:log|meta)$/

/** Nodes have fresh names whenever they join. */
const NODE = /(?<=:open:|:ids:|:i:|\{bus:)[\w-]+/

/** The keys in Redis, without what is to last, and with nodes that have no names. */
export async function keysLeft(redis: RedisServer): Promise<string[]> {
  const keys = await keysOf([redis])
  return keys
    .filter((key) => !LASTING.test(key))
    .map((key) => key.replace(NODE, '<node>'))
    .sort()
}
