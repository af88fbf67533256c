import type { RedisCommands, RedisReply } from '../../contract/cluster.js'

/** What a beat has brought. */
export type Beat =
  /** The lease had ended, and other nodes have taken over. */
  | { readonly expelled: true }
  | {
      readonly expelled: false
      /** The other nodes whose lease runs. */
      readonly others: readonly string[]
      /** Nodes that are no more, and that this one is to take over from. */
      readonly toAdopt: readonly string[]
      /** What could not be used and has been removed: a key, or a name in one. */
      readonly damaged: readonly string[]
    }

/**
 * The leases of all nodes, in Redis and by its time: the clocks of the machines do not matter. All keys have one
 * hash tag, and every step is one script.
 *
 * | key                        | kind   | what                                                               |
 * | -------------------------- | ------ | ------------------------------------------------------------------ |
 * | `<prefix>{nodes}:leases`   | zset   | nodes by the end of their lease, milliseconds                      |
 * | `<prefix>{nodes}:beat`     | string | when any node has beaten last                                      |
 * | `<prefix>{nodes}:gone`     | zset   | nodes whose lease has ended, by when; a day                        |
 * | `<prefix>{nodes}:orphans`  | hash   | nodes that are to be taken over from, to the node that does it     |
 * | `<prefix>{nodes}:news`     | stream | an entry whenever a node comes or goes; an hour                    |
 */
export class Leases {
  private readonly key: string

  constructor(
    private readonly redis: RedisCommands,
    keyPrefix: string,
    private readonly leaseMs: number,
  ) {
    this.key = `${keyPrefix}{nodes}:leases`
  }

  /** Where news are told. */
  get newsKey(): string {
    return this.key.replace(/leases$/, 'news')
  }

  /**
   * Renews the lease of the node, or gives it its first one. Finds whose has ended. `known`: the other nodes as last heard;
   * they are told to a Redis that may have forgotten some.
   */
  async beat(node: string, known: ReadonlySet<string>): Promise<Beat> {
    const first = known.size > 0 ? list(await this.run('beat', node)) : ASKS_WHO
    const asks = first.length === ASKS_WHO.length
    const reply = asks ? list(await this.run('beat', node, JSON.stringify([...known]))) : first
    const [damaged, others, toAdopt] = reply
    if (damaged === undefined || others === undefined || toAdopt === undefined) return { expelled: true }
    const allDamaged = asks ? [...names(first[0]), ...names(damaged)] : names(damaged)
    return { expelled: false, others: names(others), toAdopt: names(toAdopt), damaged: allDamaged }
  }

  /** The node goes by itself, or its process has ended. What it has left behind (wills, sessions) is adopted. */
  async leave(node: string): Promise<void> {
    await this.run('leave', node)
  }

  /** All of `gone` has been taken over by `node`. */
  async adopted(node: string, gone: string): Promise<void> {
    await this.run('adopted', node, gone)
  }

  /** See `ClusterMembership.suspect`. */
  async suspect(node: string, unknown: string): Promise<void> {
    await this.run('suspect', node, unknown)
  }

  private run(action: keyof typeof ACTIONS, node: string, other = ''): Promise<RedisReply> {
    return this.redis.script(SCRIPTS[action], this.key, node, this.leaseMs, other)
  }
}

/** Answer to a beat that has to be repeated with the names of the nodes that are known: only what was damaged. */
const ASKS_WHO: readonly RedisReply[] = [[]]

/** KEYS[1]: the leases. ARGV: the node, its lease in milliseconds, another node or, of a beat, a list of them. */
const COMMON = `
local leases, node, lease, other = KEYS[1], ARGV[1], tonumber(ARGV[2]), ARGV[3]
local base = string.sub(leases, 1, -7)
local GONE, ORPHANS, BEAT, NEWS = base .. 'gone', base .. 'orphans', base .. 'beat', base .. 'news'
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local DAY, HOUR = 86400000, 3600000

-- Behind this write the script may write without memory as well: leases go on when Redis is full of messages.
redis.call('PEXPIRE', leases .. '-', 1)

-- Values that nobody of us wrote. Without them everybody is entered again by a beat.
local damaged = {}
for key, kind in pairs({ [leases] = 'zset', [GONE] = 'zset', [ORPHANS] = 'hash', [BEAT] = 'string', [NEWS] = 'stream' }) do
  local found = redis.call('TYPE', key).ok
  if found ~= kind and found ~= 'none' then
    redis.call('DEL', key)
    damaged[#damaged + 1] = key
  end
end

local function isName(name)
  return #name <= 64 and string.match(name, '^[%w_-]+$') ~= nil
end

local function int(value)
  return string.format('%.0f', value)
end

local function tell(name)
  redis.call('XADD', NEWS, 'MAXLEN', '~', 64, '*', 'node', name)
  redis.call('PEXPIRE', NEWS, HOUR)
end

-- A lease for a node that nobody has ever heard of.
local function lend(name)
  if redis.call('ZSCORE', GONE, name) or redis.call('HEXISTS', ORPHANS, name) == 1 then return 0 end
  return redis.call('ZADD', leases, 'NX', int(now + lease), name)
end
`

const ACTIONS = {
  beat: `
if redis.call('ZSCORE', GONE, node) then return false end

-- Nobody could beat for a while (Redis was away, or has lost its data), or the clock of Redis was set: that says nothing
-- about the nodes. Each gets time to renew its lease, also one that Redis has no lease of any more.
local last = tonumber(redis.call('GET', BEAT) or nil)
local paused = not last or now < last or now - last > lease / 2
if other == '' and (paused or not redis.call('ZSCORE', leases, node)) then return { damaged } end
redis.call('SET', BEAT, int(now), 'PX', DAY)
if other ~= '' then
  for _, name in ipairs(cjson.decode(other)) do lend(name) end
end
if paused then
  for _, name in ipairs(redis.call('ZRANGE', leases, 0, -1)) do redis.call('ZADD', leases, int(now + lease), name) end
end

if redis.call('ZADD', leases, int(now + lease), node) == 1 then tell(node) end

-- Nobody is a node of that name, or has a lease of hours.
for _, name in ipairs(redis.call('ZRANGE', leases, 0, -1)) do
  if not isName(name) then
    redis.call('ZREM', leases, name)
    damaged[#damaged + 1] = leases .. ' ' .. name
  end
end
for _, name in ipairs(redis.call('ZRANGEBYSCORE', leases, '(' .. int(now + HOUR), '+inf')) do
  redis.call('ZADD', leases, int(now + lease), name)
  damaged[#damaged + 1] = leases .. ' ' .. name
end

redis.call('ZREMRANGEBYSCORE', GONE, '-inf', int(now - DAY))
for _, name in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', int(now))) do
  redis.call('ZREM', leases, name)
  redis.call('ZADD', GONE, int(now), name)
  redis.call('PEXPIRE', GONE, DAY)
  redis.call('HSET', ORPHANS, name, '')
  tell(name)
end

-- One node takes over from each; where that one is no more, the next.
local adopt, orphans = {}, redis.call('HGETALL', ORPHANS)
for i = 1, #orphans, 2 do
  local name, adopter = orphans[i], orphans[i + 1]
  if not isName(name) then
    redis.call('HDEL', ORPHANS, name)
    damaged[#damaged + 1] = ORPHANS .. ' ' .. name
  elseif adopter == '' or not redis.call('ZSCORE', leases, adopter) then
    redis.call('HSET', ORPHANS, name, node)
    adopter = node
  end
  if adopter == node then adopt[#adopt + 1] = name end
end

local others = {}
for _, name in ipairs(redis.call('ZRANGE', leases, 0, -1)) do
  if name ~= node then others[#others + 1] = name end
end
return { damaged, others, adopt }
`,
  leave: `
if redis.call('ZREM', leases, node) == 1 then
  redis.call('HSET', ORPHANS, node, '')
  tell(node)
end
return 1
`,
  adopted: `
if redis.call('HGET', ORPHANS, other) == node then redis.call('HDEL', ORPHANS, other) end
return 1
`,
  suspect: `
return lend(other)
`,
} as const

const SCRIPTS = {
  beat: COMMON + ACTIONS.beat,
  leave: COMMON + ACTIONS.leave,
  adopted: COMMON + ACTIONS.adopted,
  suspect: COMMON + ACTIONS.suspect,
} as const

function list(reply: RedisReply | undefined): readonly RedisReply[] {
  return Array.isArray(reply) ? (reply as readonly RedisReply[]) : []
}

function names(reply: RedisReply | undefined): readonly string[] {
  return list(reply).map(String)
}
