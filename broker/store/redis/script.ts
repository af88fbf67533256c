/**
 * The writes of a batch, as they run in Redis. One call carries what a tick of one node has for one partition, and
 * takes effect as a whole: nothing else runs between two of its operations.
 *
 * Each operation runs by itself: one that meets a damaged value fails alone. It checks before it writes, because
 * Redis takes nothing back. Errors are told by name: TAKEN, OOM, else the text of Redis.
 *
 * A batch has a number, and its reply is kept with it: sent again because the connection was cut before the reply
 * came, it changes nothing and gets the same reply.
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
  if string.sub(last, 1, cut - 1) == int(number) then return string.sub(last, cut + 1) end
end

local heads, damaged, dropped, expired, logged = {}, {}, {}, {}, {}
local retainedDelta = 0

local function text(failure)
  if type(failure) == 'table' then failure = failure.err or failure[1] end
  return tostring(failure)
end

local function isOOM(failure)
  return string.find(text(failure), 'OOM', 1, true) ~= nil
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

/** Sessions and their queues. */
const SESSION = `
-- A thousand values at a time: Lua hands no more than 8,000 to a function.
local function inChunks(items, task)
  for from = 1, #items, 1000 do task(unpack(items, from, math.min(from + 999, #items))) end
end

-- The counters of a session: epoch of its owner, epoch it was made in, last sequence, entries, payload bytes. They are a
-- key of their own, so that those of all sessions of a batch are read by one command, and written by one at its end:
-- what is left to do for each receiver of a message is to add to its queue.
local counters = {}
for _, id in ipairs(batch[8]) do counters[#counters + 1] = C .. id end
do
  local found, i = {}, 0
  inChunks(counters, function(...)
    for _, value in ipairs(call('MGET', ...)) do
      i = i + 1
      found[batch[8][i]] = value
    end
  end)
  counters = found
end

local function head(id)
  local h = heads[id]
  if h ~= nil then return h end
  local text = counters[id]
  if text == nil then text = call('GET', C .. id) end
  if not text then
    heads[id] = false
    return false
  end
  local epoch, born, last, count, bytes = match(text, '^(%d+) (%d+) (%d+) (%d+) (%d+)$')
  if not epoch then error('the counters of the session cannot be read', 0) end
  h = { id = id, epoch = tonumber(epoch), born = tonumber(born), last = tonumber(last), count = tonumber(count),
    bytes = tonumber(bytes) }
  heads[id] = h
  return h
end

local function textOf(h)
  return h.epoch .. ' ' .. h.born .. ' ' .. h.last .. ' ' .. h.count .. ' ' .. h.bytes
end

-- Written at the end of the batch, in one command each: bodies, then counters; then what is not needed any more goes.
local writes, gone = {}, {}

local function nodeOf(id)
  return call('HGET', S .. id, 'node') or ''
end

local function owned(id, epoch)
  local h = head(id)
  return h and h.epoch == epoch and h or nil
end

-- An entry is text up to its delivery: sequence, payload bytes, expiry or -, body ('=' its own, '*' shared, '-' none).
local function parse(member)
  local sequence, size, expiry, body = match(member, '^(%d+) (%d+) (%S+) (%S+) ')
  if not sequence then return nil end
  return tonumber(sequence), tonumber(size), tonumber(expiry), body
end

local function dropBody(body)
  local kind, key = string.sub(body, 1, 1), M .. string.sub(body, 2)
  if kind == '=' then
    gone[#gone + 1] = key
  elseif kind == '*' then
    local ok, left = pcall(redis.call, 'DECR', key .. ':n')
    if not ok then
      damaged[#damaged + 1] = { 'body count', key .. ':n', text(left) }
    elseif left <= 0 then
      gone[#gone + 1] = key
      gone[#gone + 1] = key .. ':n'
    end
  end
end

local function remove(h, member)
  if redis.call('ZREM', Q .. h.id, member) == 0 then return end
  local sequence, size, expiry, body = parse(member)
  h.count, h.dirty, h.removed = math.max(0, h.count - 1), true, true
  if not sequence then
    damaged[#damaged + 1] = { 'queue entry', Q .. h.id, 'an entry that cannot be read was removed' }
  else
    h.bytes = math.max(0, h.bytes - size)
    dropBody(body)
  end
end

local function entryAt(h, sequence)
  return redis.call('ZRANGEBYSCORE', Q .. h.id, sequence, sequence)[1]
end

local function settledUpTo(h)
  if h.count == 0 then return h.last end
  return tonumber(redis.call('ZRANGE', Q .. h.id, 0, 0, 'WITHSCORES')[2]) - 1
end

local function fits(h, size)
  return h.count < maxMessages and h.bytes + size <= maxBytes
end

local function note(counts, id)
  counts[id] = (counts[id] or 0) + 1
end

-- Released entries are passed over: they hold no message, and their PUBREL is still owed.
local function makeRoom(h, size)
  if fits(h, size) then return true end
  if size > maxBytes then return false end
  local at = 0
  while not fits(h, size) do
    local member = redis.call('ZRANGE', Q .. h.id, at, at)[1]
    if not member then return false end
    local sequence, _, expiry, body = parse(member)
    if body == '-' then
      at = at + 1
    else
      local over = not sequence or (expiry and expiry <= now)
      if not over and not dropOldest then return false end
      remove(h, member)
      if sequence then note(over and expired or dropped, h.id) end
    end
  end
  return true
end

-- middle: what the entries of one message have in common, between sequence and delivery.
local function push(h, size, middle, delivery)
  if not makeRoom(h, size) then
    note(dropped, h.id)
    return false
  end
  local sequence = h.last + 1
  local score = tostring(sequence)
  call('ZADD', Q .. h.id, score, score .. middle .. delivery)
  h.last, h.count, h.bytes, h.dirty = sequence, h.count + 1, h.bytes + size, true
  return sequence
end

local function pushTo(id, size, middle, delivery)
  local h = head(id)
  return h and push(h, size, middle, delivery)
end

local function putBody(uid, bytes, lifetime, entries)
  local key = M .. uid
  if lifetime then
    redis.call('SET', key, bytes, 'PX', lifetime)
    if entries then redis.call('SET', key .. ':n', entries, 'PX', lifetime) end
  elseif entries then
    -- At once: another operation of the batch may count it down.
    redis.call('MSET', key, bytes, key .. ':n', entries)
  else
    writes[#writes + 1] = key
    writes[#writes + 1] = bytes
  end
end

-- Queues one message for many. Returns the sequence numbers; false where there is no session or no room.
local function pushAll(message, recipients)
  local uid, bytes, size, expiry, lifetime = message[1], message[2], message[3], message[4], message[5]
  local shared = #recipients > 2
  local body = (shared and '*' or '=') .. uid
  local middle = ' ' .. size .. ' ' .. (expiry or '-') .. ' ' .. body .. ' '
  local sequences, entries = {}, 0
  for i = 1, #recipients, 2 do
    local id = recipients[i]
    local ok, sequence = pcall(pushTo, id, size, middle, recipients[i + 1])
    if not ok then
      if isOOM(sequence) then error(sequence, 0) end
      damaged[#damaged + 1] = { 'session', S .. id, text(sequence) }
      sequence = false
    end
    if sequence then entries = entries + 1 end
    sequences[#sequences + 1] = sequence
  end
  if entries > 0 then putBody(uid, bytes, lifetime, shared and entries) end
  return sequences
end

local function discard(id)
  local members = redis.pcall('ZRANGE', Q .. id, 0, -1)
  if not members.err then
    for _, member in ipairs(members) do
      local sequence, _, _, body = parse(member)
      if sequence then dropBody(body) end
    end
  end
  local owner = redis.pcall('HGET', S .. id, 'node')
  if type(owner) == 'string' and owner ~= '' then redis.call('SREM', OPEN .. owner, id) end
  redis.call('DEL', S .. id, C .. id, Q .. id)
  redis.call('SREM', SESSIONS, id)
  redis.call('ZREM', EXPIRY, id)
  heads[id] = false
end

local function expiredAt(id)
  local at = tonumber(redis.call('ZSCORE', EXPIRY, id) or nil)
  return at and at <= now
end
`

/** Retained messages. */
const RETAIN = `
local function sizeAndExpiry(info)
  if not info then return 0, nil end
  local size, expiry = string.match(info, '^(%d+) (%S+)$')
  return tonumber(size) or 0, tonumber(expiry)
end

local function retain(topic, value, size, expiry)
  local former = redis.call('HGET', TOPICS, topic)
  local formerSize, formerExpiry = sizeAndExpiry(former)
  if value then
    redis.call('HSET', RETAINED, topic, value)
    local info = int(size) .. ' ' .. (expiry and int(expiry) or '-')
    if former ~= info then redis.call('HSET', TOPICS, topic, info) end
    retainedDelta = retainedDelta + size - formerSize
    if not former or formerExpiry ~= (expiry or nil) then announce({ node, 'retained', topic, size, expiry }) end
  elseif former then
    redis.call('HDEL', RETAINED, topic)
    redis.call('HDEL', TOPICS, topic)
    retainedDelta = retainedDelta - formerSize
    announce({ node, 'cleared', topic })
  end
end
`

/** One function an operation, by the name that `operations.ts` gives it. */
const OPERATIONS = `
local TAKEN = { err = 'TAKEN' }
local run = {}

function run.open(op)
  local id, clean, interval, evenExpired = op[2], op[3], op[4], op[5]
  local ok, h = pcall(head, id)
  if not ok then
    damaged[#damaged + 1] = { 'session', S .. id, text(h) }
    h, clean = true, true
  end
  local former = ''
  if h and h ~= true then
    local readable, owner = pcall(nodeOf, id)
    if readable then
      former = owner
    else
      damaged[#damaged + 1] = { 'session', S .. id, text(owner) }
      clean = true
    end
  end
  if h and (clean or (expiredAt(id) and not evenExpired)) then
    discard(id)
    announce({ node, 'ended', id })
    h = nil
  end
  local epoch = redis.call('HINCRBY', META, 'epoch', 1)
  if not h then
    redis.call('DEL', S .. id, Q .. id)
    redis.call('HSET', S .. id, 'node', node, 'born', epoch, 'interval', interval)
    redis.call('SET', C .. id, textOf({ epoch = epoch, born = epoch, last = 0, count = 0, bytes = 0 }))
    redis.call('SADD', SESSIONS, id)
    redis.call('SADD', OPEN .. node, id)
    heads[id], counters[id] = nil, nil
    return { false, epoch, epoch, {}, former, {}, 0, 0, 0 }
  end
  redis.call('HSET', S .. id, 'node', node, 'interval', interval)
  if former ~= node then
    if former ~= '' then redis.call('SREM', OPEN .. former, id) end
    redis.call('SADD', OPEN .. node, id)
  end
  redis.call('ZREM', EXPIRY, id)
  redis.call('HDEL', S .. id, 'claimed')
  -- What the counters say of the queue is not taken on trust for ever.
  h.epoch, h.count = epoch, redis.call('ZCARD', Q .. id)
  h.dirty = true
  local fields, unfinished = redis.call('HGETALL', S .. id), {}
  for i = 1, #fields, 2 do
    -- A QoS 2 publish whose accept was under way names the accept: it is finished before the session is used.
    if string.sub(fields[i], 1, 2) == 'p:' and fields[i + 1] ~= '' then
      local holder, uid = string.match(fields[i + 1], '^(%S+) (%S+)$')
      local intent = holder and redis.call('HGET', INTENTS .. holder, uid)
      if intent then
        unfinished[#unfinished + 1] = intent
        redis.call('HDEL', INTENTS .. holder, uid)
        redis.call('HSET', INTENTS .. node, uid, intent)
        redis.call('HSET', S .. id, fields[i], node .. ' ' .. uid)
      end
    end
  end
  return { true, epoch, h.born, fields, former, unfinished, h.count, settledUpTo(h), h.last }
end

function run.discard(op)
  local id, onlyExpired = op[2], op[3]
  if onlyExpired and not expiredAt(id) then return false end
  if redis.call('EXISTS', S .. id) == 0 then return false end
  discard(id)
  announce({ node, 'ended', id })
  return true
end

function run.subscribe(op)
  local h = owned(op[2], op[3])
  if not h then return TAKEN end
  local fields = op[4]
  for i = 1, #fields, 2 do redis.call('HSET', S .. h.id, 's:' .. fields[i], fields[i + 1]) end
  announce({ node, 'subscribed', h.id, fields })
  return 0
end

function run.unsubscribe(op)
  local h = owned(op[2], op[3])
  if not h then return TAKEN end
  for _, key in ipairs(op[4]) do redis.call('HDEL', S .. h.id, 's:' .. key) end
  announce({ node, 'unsubscribed', h.id, op[4] })
  return 0
end

function run.interval(op)
  local h = owned(op[2], op[3])
  if not h then return TAKEN end
  redis.call('HSET', S .. h.id, 'interval', op[4])
  return 0
end

function run.close(op)
  local h = owned(op[2], op[3])
  if not h then return TAKEN end
  redis.call('HSET', S .. h.id, 'node', '')
  redis.call('SREM', OPEN .. node, h.id)
  if op[4] then redis.call('ZADD', EXPIRY, op[4], h.id) else redis.call('ZREM', EXPIRY, h.id) end
  return 0
end

function run.enqueue(op)
  local h = owned(op[2], op[3])
  if not h then return TAKEN end
  return pushAll(op[4], { h.id, op[5] })[1]
end

function run.settle(op)
  local h = owned(op[2], op[3])
  if not h then return TAKEN end
  local member = entryAt(h, op[4])
  if member then remove(h, member) end
  return 0
end

function run.release(op)
  local h = owned(op[2], op[3])
  if not h then return TAKEN end
  local member = entryAt(h, op[4])
  local _, _, _, body = parse(member or '')
  if not body or body == '-' then return 0 end
  remove(h, member)
  redis.call('ZADD', Q .. h.id, op[4], int(op[4]) .. ' 0 - - ')
  h.count = h.count + 1
  return 0
end

function run.forget(op)
  local h = owned(op[2], op[3])
  if not h then return TAKEN end
  redis.call('HDEL', S .. h.id, 'p:' .. op[4])
  return 0
end

-- Entries that a reader found expired or damaged. Whoever has the session: they are nobody's any more.
function run.purge(op)
  local h = head(op[2])
  if not h or h.born ~= op[3] then return 0 end
  local count = 0
  for _, sequence in ipairs(op[4]) do
    local member = entryAt(h, sequence)
    if member then
      remove(h, member)
      count = count + 1
    end
  end
  return count
end

function run.accept(op)
  local incoming, change = op[5], op[4]
  if incoming and not owned(incoming[1], incoming[2]) then return TAKEN end
  if change then retain(change[1], change[2], change[3], change[4]) end
  if incoming then redis.call('HSET', S .. incoming[1], 'p:' .. incoming[3], '') end
  return pushAll(op[2], op[3])
end

function run.unretain(op)
  local _, expiry = sizeAndExpiry(redis.call('HGET', TOPICS, op[2]))
  if expiry and expiry <= now then retain(op[2], false) end
  return 0
end

-- The first step of an accept that spans partitions.
function run.intend(op)
  local uid, incoming = op[2], op[4]
  if incoming then
    if not owned(incoming[1], incoming[2]) then return TAKEN end
    redis.call('HSET', S .. incoming[1], 'p:' .. incoming[3], node .. ' ' .. uid)
  end
  redis.call('HSET', INTENTS .. node, uid, op[3])
  return 0
end

-- The second, in each partition: done once, however often it is asked for.
function run.enlist(op)
  local message, change = op[2], op[4]
  local mark = MARK .. message[1]
  local known = redis.call('GET', mark)
  if known then return cmsgpack.unpack(known) end
  if change then retain(change[1], change[2], change[3], change[4]) end
  local sequences = pushAll(message, op[3])
  redis.call('SET', mark, cmsgpack.pack(sequences), 'PX', 600000)
  return sequences
end

-- The third. True: the accept was still in the hands of this node.
function run.accepted(op)
  local uid, incoming = op[2], op[3]
  if incoming then
    local field = 'p:' .. incoming[2]
    if redis.call('HGET', S .. incoming[1], field) == node .. ' ' .. uid then
      redis.call('HSET', S .. incoming[1], field, '')
    end
  end
  return redis.call('HDEL', INTENTS .. node, uid) == 1
end

function run.unmark(op)
  redis.call('DEL', MARK .. op[2])
  return 0
end

-- A will that is there and not this node's own is left alone by updates and deletions: its client has moved on.
local function ownsWill(id)
  local will = redis.call('HGET', WILLS, id)
  return not will or string.sub(will, 1, #node + 1) == node .. ' '
end

function run.putWill(op)
  if op[4] and not ownsWill(op[2]) then return 0 end
  redis.call('HSET', WILLS, op[2], node .. ' ' .. op[3])
  return 0
end

function run.deleteWill(op)
  if ownsWill(op[2]) then redis.call('HDEL', WILLS, op[2]) end
  return 0
end

-- Taking over from a node that is no more, in steps. From the first one on its writes are refused.
function run.fence(op)
  redis.call('SET', base .. 'n:' .. op[2], 'fenced', 'PX', 86400000)
  return 0
end

function run.takeSessions(op)
  local gone, taken = op[2], {}
  for _, id in ipairs(redis.call('SRANDMEMBER', OPEN .. gone, 500)) do
    local ok, h = pcall(head, id)
    if ok and h and nodeOf(id) == gone then
      local interval = tonumber(redis.call('HGET', S .. id, 'interval')) or 0
      redis.call('HSET', S .. id, 'node', '')
      if interval < 4294967295 then redis.call('ZADD', EXPIRY, now + interval * 1000, id) end
      taken[#taken + 1] = id
    end
    redis.call('SREM', OPEN .. gone, id)
  end
  return { redis.call('EXISTS', OPEN .. gone) == 1, taken }
end

function run.takeIntents(op)
  local intents, taken = redis.call('HGETALL', INTENTS .. op[2]), {}
  for i = 1, #intents, 2 do
    redis.call('HSET', INTENTS .. node, intents[i], intents[i + 1])
    taken[#taken + 1] = intents[i + 1]
  end
  redis.call('DEL', INTENTS .. op[2])
  return taken
end

function run.takeWills(op)
  local taken = {}
  for i = 3, #op do
    local will = redis.call('HGET', WILLS, op[i])
    if will and string.sub(will, 1, #op[2] + 1) == op[2] .. ' ' then
      redis.call('HSET', WILLS, op[i], node .. string.sub(will, #op[2] + 1))
      taken[#taken + 1] = op[i]
    end
  end
  return taken
end

-- Sessions whose time has come. Each goes to one node, which has a minute to end it before another one is asked.
function run.claimExpired(op)
  local ids = redis.call('ZRANGEBYSCORE', EXPIRY, '-inf', now, 'LIMIT', 0, 1000)
  local claimed = {}
  for _, id in ipairs(ids) do
    if #claimed == op[2] then break end
    local lease = tonumber(redis.call('HGET', S .. id, 'claimed') or nil)
    if not lease or lease <= now then
      redis.call('HSET', S .. id, 'claimed', int(now + 60000))
      claimed[#claimed + 1] = id
    end
  end
  return claimed
end
`

const MAIN = `
local results = {}
for i, op in ipairs(batch[10]) do
  local ok, result = pcall(run[op[1]], op)
  if not ok then result = { err = isOOM(result) and 'OOM' or text(result) } end
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

export const BATCH = [FRAME, SESSION, RETAIN, OPERATIONS, MAIN].join('')

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
 * about how many. Returns the next cursor and, for each, client id, time of expiry or false, and all fields or
 * the error they are read with.
 */
export const READ_SESSIONS = `
local page = redis.call('SSCAN', KEYS[1], ARGV[2], 'COUNT', ARGV[3])
local found = {}
for i, id in ipairs(page[2]) do
  local fields = redis.pcall('HGETALL', ARGV[1] .. 's:' .. id)
  if fields.err then fields = fields.err end
  found[i] = { id, redis.call('ZSCORE', ARGV[1] .. 'expiry', id), fields }
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
