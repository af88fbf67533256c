/** What nodes answer for: wills, expiry, and what a node that is no more has left behind. */
export const NODE_OPERATIONS = `
-- An update is of a will that this node has: the client may have moved on.
function run.putWill(op)
  local id, isUpdate = op[2], op[4]
  if isUpdate then
    if not hasWill(id) then return 0 end
  elseif isForeign(id) then
    return TAKEN
  end
  redis.call('HSET', WILLS, id, node .. ' ' .. op[3])
  return 0
end

function run.deleteWill(op)
  if hasWill(op[2]) then redis.call('HDEL', WILLS, op[2]) end
  return 0
end

-- From one node to this one. False: somebody else has taken or published it.
function run.takeWill(op)
  local from, id = op[2], op[3]
  local will = redis.call('HGET', WILLS, id)
  if not will or string.sub(will, 1, #from + 1) ~= from .. ' ' then return false end
  redis.call('HSET', WILLS, id, node .. string.sub(will, #from + 1))
  return string.sub(will, #from + 2)
end

-- Taking over from a node that is no more, in steps. From the first one on its writes are refused.
function run.fence(op)
  redis.call('SET', base .. 'n:' .. op[2], 'fenced', 'PX', 86400000)
  return 0
end

local function closeOf(gone, id)
  local h = head(id)
  if not h or h.node ~= gone then return false end
  local fields = redis.call('HGETALL', S .. id)
  local interval = 0
  for i = 1, #fields, 2 do
    if fields[i] == 'interval' then interval = tonumber(fields[i + 1]) or 0 end
  end
  -- A new epoch: should the fence ever be gone, what that node has open stays refused.
  h.epoch, h.node, h.dirty = redis.call('HINCRBY', META, 'epoch', 1), '', true
  if interval < 4294967295 then redis.call('ZADD', EXPIRY, now + interval * 1000, id) end
  if isShared(fields) then announce({ node, 'closed', id }) end
  return true
end

function run.takeSessions(op)
  local gone, taken = op[2], {}
  for _, id in ipairs(redis.call('SPOP', OPEN .. gone, 500)) do
    local ok, closed = pcall(closeOf, gone, id)
    if not ok then damage('session', S .. id, closed) end
    if ok and closed then taken[#taken + 1] = id end
  end
  return { redis.call('EXISTS', OPEN .. gone) == 1, taken }
end

function run.freeClaims(op)
  local gone = op[2]
  for _, id in ipairs(redis.call('SPOP', CLAIMED .. gone, 1000)) do
    if match(redis.call('HGET', CLAIMS, id) or '', ' (.*)$') == gone then redis.call('HDEL', CLAIMS, id) end
  end
  return redis.call('EXISTS', CLAIMED .. gone) == 1
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
