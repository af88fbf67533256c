/**
 * A page of a queue with the bodies. KEYS[1]: the queue. ARGV: what the keys begin with, client id, the epoch the
 * session was made in, sequence to read after, most messages, most payload bytes (the first message always comes),
 * now, sequence up to which expiry counts no more. Returns the sequences that have expired, whether there is more, and entry and body in turns.
 */
export const READ_QUEUE = `
local base, id, born, after = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local messages, bytes, now, started = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
if redis.call('HGET', base .. 's:' .. id, 'born') ~= born then return { '', 0 } end
local expired, found, size, count = {}, {}, 0, 0
while true do
  local page = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. string.format('%.0f', after), '+inf', 'WITHSCORES', 'LIMIT', 0, 128)
  for i = 1, #page, 2 do
    if count >= messages then return { table.concat(expired, ' '), 1, unpack(found) } end
    local member = page[i]
    after = tonumber(page[i + 1])
    local payload, expiry, body = string.match(member, '^%d+ (%d+) (%S+) (%S+) ')
    expiry = tonumber(expiry)
    if expiry and expiry <= now and after > started then
      expired[#expired + 1] = string.format('%.0f', after)
    else
      size = size + (tonumber(payload) or 0)
      if count > 0 and size > bytes then return { table.concat(expired, ' '), 1, unpack(found) } end
      local held = body and body ~= '-' and redis.pcall('GET', base .. 'm:' .. string.sub(body, 2)) or false
      if type(held) == 'table' then held = false end
      if expiry and not held then
        expired[#expired + 1] = string.format('%.0f', after)
      else
        found[#found + 1] = member
        found[#found + 1] = held
        count = count + 1
      end
    end
  end
  if #page < 256 then return { table.concat(expired, ' '), 0, unpack(found) } end
end
`

/**
 * A page of the sessions of a partition. KEYS[1]: the set of client ids. ARGV: what the keys begin with, cursor,
 * about how many. Returns the next cursor and, for each, client id, time of expiry or false, all fields or the error
 * they are read with, and its counters.
 */
export const READ_SESSIONS = `
local page = redis.call('SSCAN', KEYS[1], ARGV[2], 'COUNT', ARGV[3])
local found = {}
for i, id in ipairs(page[2]) do
  local fields = redis.pcall('HGETALL', ARGV[1] .. 's:' .. id)
  if fields.err then fields = fields.err end
  local counters = redis.pcall('GET', ARGV[1] .. 'c:' .. id)
  found[i] = { id, redis.call('ZSCORE', ARGV[1] .. 'expiry', id), fields, type(counters) == 'string' and counters }
end
return cmsgpack.pack({ page[1], found })
`

/**
 * The changes after a version. KEYS[1]: the log. ARGV: what the keys begin with, version. Returns the present version, the
 * bytes of retained messages, and the changes, or false when the log does not reach back so far.
 */
export const READ_CHANGES = `
local meta = redis.call('HMGET', ARGV[1] .. 'meta', 'version', 'bytes')
local version, bytes, after = tonumber(meta[1] or nil) or 0, tonumber(meta[2] or nil) or 0, tonumber(ARGV[2])
if version == after then return cmsgpack.pack({ version, bytes, {} }) end
if version < after or version - after > 4096 then return cmsgpack.pack({ version, bytes, false }) end
local entries = redis.call('XRANGE', KEYS[1], string.format('(%.0f-0', after), '+')
local found = {}
for i, entry in ipairs(entries) do
  if tonumber(string.match(entry[1], '^%d+')) ~= after + i then break end
  found[i] = entry[2][2]
end
if #found ~= version - after then return cmsgpack.pack({ version, bytes, false }) end
return cmsgpack.pack({ version, bytes, found })
`
