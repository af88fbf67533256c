import { MESSAGE_OPERATIONS } from './message-operations.js'
import { NODE_OPERATIONS } from './node-operations.js'
import { QUEUES } from './queues.js'
import { RETAINED } from './retained.js'
import { SESSION_OPERATIONS } from './session-operations.js'

/**
 * The writes of a batch, as they run in Redis. One call carries what a tick of one node has for one partition, and
 * takes effect as a whole: nothing else runs between two of its operations.
 *
 * Each operation runs by itself: one that meets a damaged value fails alone. It checks before it writes, because
 * Redis takes nothing back. Errors are told by name: TAKEN, else the text of Redis. Where that says that Redis refuses
 * writes, it is no matter of one value: nobody goes on without.
 *
 * A batch has a number, and its reply is kept with it: sent again because the connection was cut before the reply
 * came, it changes nothing and gets the same reply. Nor does one that comes behind a later one.
 *
 * KEYS[1]: what the partition's keys begin with, behind it `n:` and the node. ARGV[1]: the batch, packed.
 */
const FRAME = `
local call, match = redis.call, string.match
local batch = cmsgpack.unpack(ARGV[1])
local base, number, now, node, channel, partition = batch[1], batch[2], batch[3], batch[4], batch[5], batch[6]
local limits = batch[7]
local maxMessages, maxBytes, dropOldest = limits[1], limits[2], limits[3]
local S, C, Q, M = base .. 's:', base .. 'c:', base .. 'q:', base .. 'm:'
local META, SESSIONS, EXPIRY, OPEN = base .. 'meta', base .. 'sessions', base .. 'expiry', base .. 'open:'
local RETAINED, TOPICS, WILLS = base .. 'retained', base .. 'topics', base .. 'wills'
local LOG, INTENTS, MARK = base .. 'log', base .. 'i:', base .. 'u:'
local CLAIMS, CLAIMED = base .. 'claims', base .. 'ids:'

local function int(value)
  return string.format('%.0f', value)
end

-- In a slot that is on its way to another master a missing key raises an error: nothing of the batch is done, and
-- it is sent again. Without this, half of it could fail.
redis.call('EXISTS', base .. '-')

local last = redis.call('GET', KEYS[1])
if last == 'fenced' then return redis.error_reply('FENCED') end
if last then
  local cut = string.find(last, ' ', 1, true)
  local lastNumber = tonumber(string.sub(last, 1, cut - 1))
  if lastNumber == number then return string.sub(last, cut + 1) end
  -- Late, from a connection that was given up: it was sent again on another one, and has been answered there.
  if lastNumber > number then return redis.error_reply('STALE') end
end

local function hasWill(id)
  local will = redis.call('HGET', WILLS, id)
  return will and string.sub(will, 1, #node + 1) == node .. ' '
end

local heads, damaged, dropped, expired, logged = {}, {}, {}, {}, {}
local retainedDelta = 0

local function text(failure)
  if type(failure) == 'table' then failure = failure.err or failure[1] end
  return tostring(failure)
end

-- What Redis says of itself, whatever is asked of it. Said in front of the first write of a script and not behind it.
local function isStandstill(failure)
  return match(failure, 'MISCONF') or match(failure, 'READONLY') or match(failure, 'NOREPLICAS')
end

-- That Redis refuses says nothing about the value.
local function isRefusal(failure)
  return isStandstill(failure) or match(failure, 'OOM') or match(failure, 'NOPERM') or match(failure, 'ACL failure')
    or match(failure, 'The user executing')
end

-- A value that cannot be used: whoever came across it goes on without. With a refusal it does not.
local function damage(what, key, failure)
  local said = text(failure)
  if isRefusal(said) then error(said, 0) end
  damaged[#damaged + 1] = { what, key, said }
end

-- For the other nodes: what changed, numbered without gaps.
local function announce(entry)
  local version = redis.call('HINCRBY', META, 'version', 1)
  local packed = cmsgpack.pack(entry)
  redis.call('XADD', LOG, 'MAXLEN', '~', 8192, int(version) .. '-0', 'e', packed)
  redis.call('PUBLISH', channel, cmsgpack.pack({ partition, version, packed }))
  logged[#logged + 1] = version
  logged[#logged + 1] = packed
end
`

const MAIN = `
local results = {}
for i, op in ipairs(batch[10]) do
  local ok, result = pcall(run[op[1]], op)
  if not ok then
    local failure = text(result)
    -- Nothing has been written: the batch is sent again, as a whole.
    if isStandstill(failure) then return redis.error_reply(failure) end
    result = { err = failure }
  end
  results[i] = result
end

for id, h in pairs(heads) do
  if h and h.dirty then
    writes[#writes + 1] = C .. id
    writes[#writes + 1] = textOf(h)
  end
end
inChunks(writes, function(...) call('MSET', ...) end)
inChunks(gone, function(...) call('DEL', ...) end)

local watched = {}
for i, id in ipairs(batch[9]) do
  local h = heads[id]
  if h then
    watched[i] = { id, h.born, h.count, h.removed and settledUpTo(h) or false, h.last }
  else
    watched[i] = false
  end
end

local retainedBytes = false
if retainedDelta ~= 0 then retainedBytes = redis.call('HINCRBY', META, 'bytes', int(retainedDelta)) end
if #logged > 0 then redis.call('PEXPIRE', LOG, 3600000) end

local counts = {}
for id, count in pairs(dropped) do counts[#counts + 1] = { id, 'dropped', count } end
for id, count in pairs(expired) do counts[#counts + 1] = { id, 'expired', count } end

local reply = cmsgpack.pack({ results, watched, counts, damaged, logged, retainedBytes })
redis.pcall('SET', KEYS[1], int(number) .. ' ' .. reply, 'PX', 3600000)
return reply
`

export const BATCH = [
  FRAME,
  QUEUES,
  RETAINED,
  SESSION_OPERATIONS,
  MESSAGE_OPERATIONS,
  NODE_OPERATIONS,
  MAIN,
].join('\n')
