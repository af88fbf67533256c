/** What nodes answer for: wills, expiry, and what a node that is no more has left behind. */
export const NODE_OPERATIONS = `
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
