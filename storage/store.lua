-- Writes one change of one group, all or nothing: everything is read and
-- compared before the first write. Stamps are compared as text; payloads are
-- never looked into. The caller is script.go, which also says what each
-- argument is.
local group, index, log, meta, history, timeline = unpack(KEYS)
local at = 0
local function arg() at = at + 1; return ARGV[at] end

local delete = arg() == 'delete'
local id, token, writer, newEpoch, schema = arg(), arg(), arg(), arg(), arg()
local hasBase, baseMeta, baseDeleted, baseVersion = arg() == '1', arg(), arg(), tonumber(arg())
local exclusive, notified = arg() == '1', tonumber(arg())
local leastVersion, leastNotified = tonumber(arg()), tonumber(arg())
local newMeta, deleted, ttl = arg(), arg(), tonumber(arg())
local graveTTL, maxLog, maxHistory, maxTimeline, oldest = tonumber(arg()), arg(), tonumber(arg()), tonumber(arg()), arg()
local fields = tonumber(arg())
local fieldsAt = at
at = at + 3 * fields
local events = tonumber(arg())
local eventsAt = at

local STAMP = 32
local function stamp(value) return value and string.sub(value, 1, STAMP) or '' end

local head = redis.call('HMGET', group, 'm', 'd', 'v', 'n', 'w')
local storedMeta, storedDeleted = head[1], head[2] or ''
local version, count = tonumber(head[3] or 0), tonumber(head[4] or 0)
local live = storedMeta and true or false

local function answer(what)
  local shard = redis.call('HMGET', meta, 'epoch', 'seq')
  return {what, version, count, shard[1] or '', tonumber(shard[2] or 0)}
end

if head[5] == token or (events > 0 and redis.call('ZSCORE', timeline, ARGV[eventsAt + 1])) then
  return answer('applied')
end
if delete and not live then
  return answer('applied')
end

local function conflict(values)
  return {'conflict', values}
end
if (live and not hasBase) or storedDeleted > baseDeleted then
  return conflict(redis.call('HGETALL', group))
end
if (exclusive or delete) and stamp(storedMeta) ~= baseMeta then
  return conflict(redis.call('HGETALL', group))
end
local differ = {}
local expected = {}
for i = fieldsAt + 1, fieldsAt + 3 * fields, 3 do
  local field, want = ARGV[i], ARGV[i + 1]
  local stored = redis.call('HGET', group, field)
  expected[field] = true
  if stamp(stored) ~= want then
    differ[#differ + 1] = field
    differ[#differ + 1] = stored or ''
  end
end
if delete then
  for _, field in ipairs(redis.call('HKEYS', group)) do
    if string.sub(field, 1, 2) == 'a:' and not expected[field] then
      local stored = redis.call('HGET', group, field)
      if #stored > STAMP then
        differ[#differ + 1] = field
        differ[#differ + 1] = stored
      end
    end
  end
end
if #differ > 0 then
  for i, field in ipairs({'m', 'd', 'v', 'n'}) do
    if head[i] then
      differ[#differ + 1] = field
      differ[#differ + 1] = head[i]
    end
  end
  return conflict(differ)
end

-- From here on everything is written.
local function inBatches(command, key, args)
  for i = 1, #args, 1000 do
    redis.call(command, key, unpack(args, i, math.min(i + 999, #args)))
  end
end

local kept = ''
version = math.max(version, leastVersion) + 1
if delete then
  redis.call('DEL', group)
  redis.call('HSET', group, 'd', deleted, 'w', token, 's', schema)
  redis.call('EXPIRE', group, graveTTL)
  redis.call('EXPIRE', timeline, graveTTL)
  redis.call('HDEL', index, id)
else
  count = math.max(count, leastNotified) + notified
  local set, del = {'v', version, 'n', count, 'w', token, 's', schema}, {}
  if not exclusive and stamp(storedMeta) > stamp(newMeta) then
    kept = storedMeta
  else
    set[#set + 1] = 'm'
    set[#set + 1] = newMeta
  end
  if deleted ~= '' then
    set[#set + 1] = 'd'
    set[#set + 1] = deleted
  end
  for i = fieldsAt + 1, fieldsAt + 3 * fields, 3 do
    if ARGV[i + 2] == '' then
      del[#del + 1] = ARGV[i]
    else
      set[#set + 1] = ARGV[i]
      set[#set + 1] = ARGV[i + 2]
    end
  end
  inBatches('HSET', group, set)
  if #del > 0 then
    inBatches('HDEL', group, del)
  end
  -- Whether the group still fires is known only to who has seen all of it.
  if ttl > 0 and (not live or tonumber(head[3] or 0) == baseVersion) then
    redis.call('EXPIRE', group, ttl)
  else
    redis.call('PERSIST', group)
    redis.call('PERSIST', timeline)
  end
  redis.call('HSET', index, id, token)
end

local members = {}
for i = eventsAt + 1, eventsAt + events do
  members[#members + 1] = '0'
  members[#members + 1] = ARGV[i]
end
if events > 0 then
  inBatches('ZADD', history, members)
  inBatches('ZADD', timeline, members)
  redis.call('ZREMRANGEBYRANK', timeline, 0, -maxTimeline - 1)
  redis.call('ZREMRANGEBYRANK', history, 0, -maxHistory - 1)
  redis.call('ZREMRANGEBYLEX', history, '-', '(' .. oldest)
end
if delete then
  redis.call('EXPIRE', timeline, graveTTL)
elseif ttl > 0 then
  redis.call('EXPIRE', timeline, ttl)
end

redis.call('HSETNX', meta, 'epoch', newEpoch)
local seq = redis.call('HINCRBY', meta, 'seq', 1)
local epoch = redis.call('HGET', meta, 'epoch')
redis.call('XADD', log, 'MAXLEN', '~', maxLog, '*',
  'seq', seq, 'epoch', epoch, 'id', id, 'token', token, 'writer', writer)
return {'done', version, count, epoch, seq, kept}
