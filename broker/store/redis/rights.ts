import type { RedisReply } from '../../contract/cluster.js'
import type { RedisClient } from './connection.js'

/** Beside what is done with keys. */
const OF_CONNECTIONS = ['eval', 'evalsha', 'info', 'ping', 'subscribe'] as const
/** On a Cluster: which master has which slots, also while they move. */
const OF_CLUSTERS = ['asking', 'cluster|info', 'cluster|slots'] as const

/**
 * Every command that store, bus and leases use on keys, on one key that is gone at the end. In the words of Lua:
 * `key` and `channel` are the arguments of the probe.
 */
const TRIALS: readonly (readonly [command: string, ...args: readonly string[]])[] = [
  ['exists', 'key'],
  ['type', 'key'],
  ['set', 'key', '1', "'PX'", '1000'],
  ['get', 'key'],
  ['mset', 'key', '1'],
  ['mget', 'key'],
  ['decr', 'key'],
  ['pexpire', 'key', '1000'],
  ['pttl', 'key'],
  ['expire', 'key', '1'],
  ['del', 'key'],
  ['hset', 'key', "'a'", '1'],
  ['hsetnx', 'key', "'b'", '1'],
  ['hincrby', 'key', "'a'", '1'],
  ['hget', 'key', "'a'"],
  ['hmget', 'key', "'a'"],
  ['hexists', 'key', "'a'"],
  ['hkeys', 'key'],
  ['hgetall', 'key'],
  ['hscan', 'key', '0'],
  ['hdel', 'key', "'a'"],
  ['zadd', 'key', '1', "'a'"],
  ['zcard', 'key'],
  ['zscore', 'key', "'a'"],
  ['zrange', 'key', '0', '0'],
  ['zrangebyscore', 'key', '1', '1'],
  ['zrem', 'key', "'a'"],
  ['zremrangebyscore', 'key', '1', '1'],
  ['sadd', 'key', "'a'"],
  ['scard', 'key'],
  ['sscan', 'key', '0'],
  ['srem', 'key', "'a'"],
  ['spop', 'key', '1'],
  ['xadd', 'key', "'1-0'", "'a'", "'b'"],
  ['xrange', 'key', "'-'", "'+'"],
  ['xread', "'STREAMS'", 'key', "'0'"],
  ['xinfo', "'STREAM'", 'key'],
  ['xtrim', 'key', "'MINID'", "'2-0'"],
  ['del', 'key'],
  ['publish', 'channel', "''"],
  ['time'],
]

/**
 * Tries every command, and returns those that the user may not run; `keys` and `channels` where it may not with these.
 * What Redis refuses for another reason (no memory, a replica) is the error of the script.
 */
const PROBE = `
local key, channel = KEYS[1], ARGV[1]
local refused, known = {}, {}
local function try(name, ...)
  local reply = redis.pcall(name, ...)
  local failure = type(reply) == 'table' and reply.err
  if not failure then return end
  local what
  if string.find(failure, 'keys mentioned', 1, true) or string.find(failure, 'the keys used', 1, true)
    or string.find(failure, 'to access the', 1, true) then what = 'keys'
  elseif string.find(failure, 'channel', 1, true) then what = 'channels'
  elseif string.find(failure, 'NOPERM', 1, true) or string.find(failure, 'ACL', 1, true)
    or string.find(failure, 'The user executing', 1, true) then what = name
  elseif string.find(failure, 'WRONGTYPE', 1, true) or string.find(failure, 'no such key', 1, true) then return
  else error(reply) end
  if not known[what] then refused[#refused + 1] = what end
  known[what] = true
end
${TRIALS.map((trial) => `try(${[`'${trial[0]}'`, ...trial.slice(1)].join(', ')})`).join('\n')}
return refused
`

/** What the user may not do of what the gateway needs; empty: it may do everything. */
export async function refusedRights(
  client: RedisClient,
  keys: readonly string[],
  channel: string,
): Promise<readonly string[]> {
  const found = new Set<string>()
  for (const key of keys) {
    const refused = (await client.eval(PROBE, 1, key, channel)) as RedisReply
    for (const name of Array.isArray(refused) ? (refused as readonly RedisReply[]) : [])
      found.add(String(name))
  }
  return [...found]
}

/** The commands that a user of Redis needs, at the least, as ACL rules name them. */
export function neededCommands(isCluster: boolean): readonly string[] {
  const ofKeys = TRIALS.map(([command]) => (command === 'xinfo' ? 'xinfo|stream' : command))
  const commands = new Set([...ofKeys, ...OF_CONNECTIONS, ...(isCluster ? OF_CLUSTERS : [])])
  return [...commands].sort()
}

/** The least that a user of Redis needs, as an ACL rule. `also`: a command that only some configurations need. */
export function neededRights(keyPrefix: string, isCluster: boolean, also?: string): string {
  const commands = new Set(neededCommands(isCluster))
  if (also !== undefined) commands.add(also)
  return `~${keyPrefix}* &${keyPrefix}* ${[...commands].map((command) => `+${command}`).join(' ')}`
}
