/** Queuing and settling, accepts within one partition and across several. */
export const MESSAGE_OPERATIONS = `
function run.enqueue(op)
  local h = owned(op[2], op[3])
  if not h then return TAKEN end
  return (pushAll(op[4], { h.id, op[5] }))[1]
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

-- Where the message comes from may be gone: the session of a QoS 2 publish, or the will that it is.
local function isLost(incoming, will)
  return incoming and not owned(incoming[1], incoming[2]) or will and not hasWill(will)
end

function run.origin(op)
  return isLost(op[2], op[3]) and TAKEN or 0
end

function run.accept(op)
  local change, incoming, will = op[4], op[5], op[6]
  if isLost(incoming, will) then return TAKEN end
  if change then retain(change[1], change[2], change[3], change[4]) end
  if incoming then redis.call('HSET', S .. incoming[1], 'p:' .. incoming[3], '') end
  if will then redis.call('HDEL', WILLS, will) end
  return { pushAll(op[2], op[3]) }
end

function run.unretain(op)
  local _, expiry = sizeAndExpiry(redis.call('HGET', TOPICS, op[2]))
  if expiry and expiry <= now then retain(op[2], false) end
  return 0
end

-- The first step of an accept that spans partitions.
function run.intend(op)
  local uid, incoming, will = op[2], op[4], op[5]
  if isLost(incoming, will) then return TAKEN end
  if incoming then redis.call('HSET', S .. incoming[1], 'p:' .. incoming[3], node .. ' ' .. uid) end
  if will then redis.call('HDEL', WILLS, will) end
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
  local queued = { pushAll(message, op[3]) }
  redis.call('SET', mark, cmsgpack.pack(queued), 'PX', 600000)
  return queued
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
`
