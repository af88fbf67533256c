/** Sessions and their queues. */
export const QUEUES = `
-- A thousand values at a time: Lua hands no more than 8,000 to a function.
local function inChunks(items, task)
  for from = 1, #items, 1000 do task(unpack(items, from, math.min(from + 999, #items))) end
end

-- The counters of a session: epoch of its owner, epoch it was made in, last sequence, entries, payload bytes, and behind
-- them the node that has it open. They are a key of their own, so that those of all sessions of a batch are read by one command, and written by one at its end:
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
  local epoch, born, last, count, bytes, owner = match(text, '^(%d+) (%d+) (%d+) (%d+) (%d+) (%S*)$')
  if not epoch then error('the counters of the session cannot be read', 0) end
  h = { id = id, epoch = tonumber(epoch), born = tonumber(born), last = tonumber(last), count = tonumber(count),
    bytes = tonumber(bytes), node = owner }
  heads[id] = h
  return h
end

local function textOf(h)
  return h.epoch .. ' ' .. h.born .. ' ' .. h.last .. ' ' .. h.count .. ' ' .. h.bytes .. ' ' .. h.node
end

-- Written at the end of the batch, in one command each: bodies, then counters; then what is not needed any more goes.
local writes, gone = {}, {}

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
      damage('body count', key .. ':n', left)
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
    damage('queue entry', Q .. h.id, 'an entry that cannot be read was removed')
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

-- Who has the sessions open that a message was queued for: names once each, and for each receiver the place of one of
-- them, 0: nobody elsewhere.
local function noteOwner(owners, place, id)
  local owner = heads[id].node
  if owner == '' or owner == node then return owners end
  owners = owners or { names = {}, places = {} }
  for i, name in ipairs(owners.names) do
    if name == owner then
      owners.places[place] = i
      return owners
    end
  end
  owners.names[#owners.names + 1] = owner
  owners.places[place] = #owners.names
  return owners
end

-- Queues one message for many. Returns the sequence numbers, false where there is no session or no room; and, where
-- others have some of them open, who.
local function pushAll(message, recipients)
  local uid, bytes, size, expiry, lifetime = message[1], message[2], message[3], message[4], message[5]
  local shared = #recipients > 2
  local body = (shared and '*' or '=') .. uid
  local middle = ' ' .. size .. ' ' .. (expiry or '-') .. ' ' .. body .. ' '
  local sequences, entries, owners = {}, 0, nil
  for i = 1, #recipients, 2 do
    local id = recipients[i]
    local ok, sequence = pcall(pushTo, id, size, middle, recipients[i + 1])
    if not ok then
      damage('session', S .. id, sequence)
      sequence = false
    end
    sequences[#sequences + 1] = sequence
    if sequence then
      entries = entries + 1
      owners = noteOwner(owners, #sequences, id)
    end
  end
  if entries > 0 then putBody(uid, bytes, lifetime, shared and entries) end
  if not owners then return sequences, false end
  for i = 1, #sequences do owners.places[i] = owners.places[i] or 0 end
  return sequences, { owners.names, owners.places }
end

local function discard(id)
  local members = redis.pcall('ZRANGE', Q .. id, 0, -1)
  if not members.err then
    for _, member in ipairs(members) do
      local sequence, _, _, body = parse(member)
      if sequence then dropBody(body) end
    end
  end
  local ok, h = pcall(head, id)
  local owner = ok and h and h.node or node
  if owner ~= '' then redis.call('SREM', OPEN .. owner, id) end
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
