/** Retained messages. */
export const RETAINED = `
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
