/** Opening, subscribing, closing. One function an operation, by the name that `operations.ts` gives it. */
export const SESSION_OPERATIONS = `
local TAKEN = { err = 'TAKEN' }
local run = {}

-- A connection of the client is on another node: what this one still does for it comes too late.
local function isForeign(id)
  local claim = redis.call('HGET', CLAIMS, id)
  return claim and match(claim, ' (.*)$') ~= node
end

-- Every connection claims its client id, whether or not it has a session here.
function run.claim(op)
  local id = op[2]
  local former = match(redis.call('HGET', CLAIMS, id) or '', ' (.*)$') or ''
  local epoch = redis.call('HINCRBY', META, 'epoch', 1)
  redis.call('HSET', CLAIMS, id, int(epoch) .. ' ' .. node)
  if former ~= node then
    if former ~= '' then redis.call('SREM', CLAIMED .. former, id) end
    redis.call('SADD', CLAIMED .. node, id)
  end
  local willOf = match(redis.call('HGET', WILLS, id) or '', '^(%S+) ') or ''
  return { epoch, former, willOf }
end

function run.yield(op)
  if redis.call('HGET', CLAIMS, op[2]) ~= int(op[3]) .. ' ' .. node then return 0 end
  redis.call('HDEL', CLAIMS, op[2])
  redis.call('SREM', CLAIMED .. node, op[2])
  return 0
end

-- Whether other nodes have to know that the session is online: it is a member of a share group.
local function isShared(fields)
  for i = 1, #fields, 2 do
    if string.sub(fields[i], 1, 9) == 's:$share/' then return true end
  end
  return false
end

function run.open(op)
  local id, clean, interval, evenExpired = op[2], op[3], op[4], op[5]
  if isForeign(id) then return TAKEN end
  local ok, h = pcall(head, id)
  if not ok then
    damage('session', S .. id, h)
    h, clean = true, true
  end
  local former, fields = '', {}
  if h and h ~= true then
    former = h.node
    fields = redis.pcall('HGETALL', S .. id)
    if fields.err then
      damage('session', S .. id, fields)
      clean = true
    end
  end
  -- With interval 0 it ended with the connection that has it open, or had, also where nobody could discard it any more.
  local over = h and h ~= true and not clean and (expiredAt(id) or redis.call('HGET', S .. id, 'interval') == '0')
  if h and (clean or (over and not evenExpired)) then
    discard(id)
    announce({ node, 'ended', id })
    h = nil
  end
  local epoch = redis.call('HINCRBY', META, 'epoch', 1)
  if not h then
    redis.call('DEL', S .. id, Q .. id)
    redis.call('HSET', S .. id, 'born', epoch, 'interval', interval)
    redis.call('SET', C .. id, textOf({ epoch = epoch, born = epoch, last = 0, count = 0, bytes = 0, node = node }))
    redis.call('SADD', SESSIONS, id)
    redis.call('SADD', OPEN .. node, id)
    heads[id], counters[id] = nil, nil
    return { false, epoch, epoch, {}, former, {}, 0, 0, 0 }
  end
  redis.call('HSET', S .. id, 'interval', interval)
  if former ~= node then
    if former ~= '' then redis.call('SREM', OPEN .. former, id) end
    redis.call('SADD', OPEN .. node, id)
    if isShared(fields) then announce({ node, 'opened', id }) end
  end
  redis.call('ZREM', EXPIRY, id)
  redis.call('HDEL', S .. id, 'claimed')
  -- What the counters say of the queue is not taken on trust for ever.
  h.epoch, h.node, h.count = epoch, node, redis.call('ZCARD', Q .. id)
  h.dirty = true
  local unfinished = {}
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
  if onlyExpired then
    if not expiredAt(id) then return false end
  elseif isForeign(id) then
    return false
  end
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
  h.node, h.dirty = '', true
  redis.call('SREM', OPEN .. node, h.id)
  if op[5] then announce({ node, 'closed', h.id }) end
  if op[4] then redis.call('ZADD', EXPIRY, op[4], h.id) else redis.call('ZREM', EXPIRY, h.id) end
  return 0
end
`
