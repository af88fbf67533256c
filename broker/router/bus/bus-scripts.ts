/**
 * KEYS[1]: stream, ARGV: interest, seconds. The ID given last, which process it is ('' for whoever may not ask), and
 * whether there is no interest; false: there is no stream. Behind them the keys that were of another kind, which have
 * been removed. So has a stream with an ID of days to come: Redis gives no lower one, and behind the last one none.
 */
export const RENEW_STREAM = `
local damaged = {}
local function isOfKind(key, kind)
  local found = redis.call('type', key).ok
  if found ~= kind and found ~= 'none' then
    redis.call('del', key)
    damaged[#damaged + 1] = key
  end
  return found == kind
end
local function lastId()
  local info = redis.call('xinfo', 'stream', KEYS[1])
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then return info[i + 1] end
  end
end

local wanted = isOfKind(ARGV[1], 'hash')
local id = isOfKind(KEYS[1], 'stream') and lastId()
if id and tonumber(string.match(id, '^%d+')) > (tonumber(redis.call('time')[1]) + 86400) * 1000 then
  redis.call('del', KEYS[1])
  damaged[#damaged + 1] = KEYS[1]
  id = false
end
if not id then return { false, '', 0, damaged } end
redis.call('expire', KEYS[1], ARGV[2])
redis.call('expire', ARGV[1], ARGV[2])
local server = redis.pcall('info', 'server')
local process = type(server) == 'string' and string.match(server, 'run_id:(%x+)') or ''
return { id, process, wanted and 0 or 1, damaged }`

/** Makes the stream with an entry that means nothing, and returns its ID. */
export const CREATE_STREAM = `
local id = redis.call('xadd', KEYS[1], 'MAXLEN', '~', 65536, '*', 'open', '1')
redis.call('expire', KEYS[1], ARGV[1])
return id`

/**
 * KEYS[1]: interest, ARGV: stream, whether to begin anew, version ('': there is more to come), then filters and members.
 * Lives as long as the stream. 1: written. 0: without its stream the node is not there any more, and must leave nothing
 * behind. 2: what a change is to be added to is gone, or no hash: all has to be written anew.
 */
export const WRITE_INTEREST = `
if redis.call('exists', ARGV[1]) == 0 then return 0 end
if ARGV[2] == '1' then redis.call('del', KEYS[1])
elseif redis.call('type', KEYS[1]).ok ~= 'hash' then return 2 end
for i = 4, #ARGV, 2 do
  if ARGV[i + 1] == '0' then redis.call('hdel', KEYS[1], 'f' .. ARGV[i])
  else redis.call('hset', KEYS[1], 'f' .. ARGV[i], ARGV[i + 1]) end
end
if ARGV[3] ~= '' then redis.call('hset', KEYS[1], 'version', ARGV[3]) end
redis.call('pexpire', KEYS[1], redis.call('pttl', ARGV[1]))
return 1`
