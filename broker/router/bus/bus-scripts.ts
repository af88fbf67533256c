/**
 * KEYS[1]: stream, ARGV: interest, seconds. The ID given last, and which process it is ('' for whoever may not ask);
 * false: there is no stream.
 */
export const RENEW_STREAM = `
if redis.call('expire', KEYS[1], ARGV[2]) == 0 then return false end
redis.call('expire', ARGV[1], ARGV[2])
local server = redis.pcall('info', 'server')
local process = type(server) == 'string' and string.match(server, 'run_id:(%x+)') or ''
local info = redis.call('xinfo', 'stream', KEYS[1])
for i = 1, #info, 2 do
  if info[i] == 'last-generated-id' then return { info[i + 1], process } end
end
return false`

/** Makes the stream with an entry that means nothing, and returns its ID. */
export const CREATE_STREAM = `
local id = redis.call('xadd', KEYS[1], 'MAXLEN', '~', 65536, '*', 'open', '1')
redis.call('expire', KEYS[1], ARGV[1])
return id`

/**
 * KEYS[1]: interest, ARGV: stream, whether to begin anew, version ('': there is more to come), then filters and members.
 * Lives as long as the stream: without that the node is not there any more, and must leave nothing behind.
 */
export const WRITE_INTEREST = `
if redis.call('exists', ARGV[1]) == 0 then return 0 end
if ARGV[2] == '1' then redis.call('del', KEYS[1]) end
for i = 4, #ARGV, 2 do
  if ARGV[i + 1] == '0' then redis.call('hdel', KEYS[1], 'f' .. ARGV[i])
  else redis.call('hset', KEYS[1], 'f' .. ARGV[i], ARGV[i + 1]) end
end
if ARGV[3] ~= '' then redis.call('hset', KEYS[1], 'version', ARGV[3]) end
redis.call('pexpire', KEYS[1], redis.call('pttl', ARGV[1]))
return 1`
