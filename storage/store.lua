-- Writes one change of one group, all or nothing: everything is read and
-- compared before the first write, since an error leaves what came before it.
-- Stamps are compared as text; payloads are never looked into. The caller is
-- script.go, which also says what each argument is.
local group, index, log, meta, history, timeline = unpack(KEYS)
local at = 0
local function arg() at = at + 1; return ARGV[at] end

local delete = arg() == 'delete'
local id, token, writer, newEpoch, schema = arg(), arg(), arg(), arg(), arg()
local hasBase, baseMeta, baseDeleted, baseVersion = arg() == '1', arg(), arg(), tonumber(arg())
local exclusive, notified = arg() == '1', tonumber(arg())
local leastVersion, leastNotified = tonumber(arg()), tonumber(arg())
local newMeta, deleted, ttl = arg(), arg(), tonumber(arg())
local graveTTL, maxLog, maxHistory, maxTimeline, retention = tonumber(arg()), arg(), tonumber(arg()), tonumber(arg()), tonumber(arg())
local fields = tonumber(arg())
local fieldsAt = at
at = at + 3 * fields
local events = tonumber(arg())
local eventsAt = at

local STAMP = 32
-- unpack puts its values on Lua's stack, which has room for some thousands.
local BATCH = 1000
local function stamp(value) return value and string.sub(value, 1, STAMP) or '' end

-- A key of another type is damaged. The group is written anew; of the others an
-- error must come now, not between two writes.
local damaged = redis.call('TYPE', group).ok
damaged = damaged ~= 'hash' and damaged ~= 'none'
redis.call('HLEN', index)
redis.call('XLEN', log)
local lengths = {history = redis.call('ZCARD', history), timeline = redis.call('ZCARD', timeline)}
local shard = redis.call('HMGET', meta, 'epoch', 'seq')

local head = {false, false, false, false, false, false}
if not damaged then
  head = redis.call('HMGET', group, 'm', 'd', 'v', 'n', 'w', 's')
end
local storedMeta, storedDeleted = head[1], head[2] or ''
local storedVersion = tonumber(head[3] or 0) or 0
local version, count = storedVersion, tonumber(head[4] or 0) or 0
local live = storedMeta and true or false
-- A group that is stored has a history, unless somebody removed that.
local evicted = ''
if live then
  evicted = lengths.history == 0 and 'history' or lengths.timeline == 0 and 'timeline' or ''
end

-- The answer to an earlier run was lost: it was the last write, or its first
-- event is there.
if head[5] == token or (events > 0 and redis.call('ZSCORE', timeline, ARGV[eventsAt + 1])) then
  return {'applied', version, count, shard[1] or '', tonumber(shard[2] or 0), ''}
end

local function everything()
  return {'conflict', damaged and {} or redis.call('HGETALL', group)}
end
-- A newer Muster wrote it: what it would mean to change it is not known here.
if (tonumber(head[6] or 0) or 0) > tonumber(schema) then
  return everything()
end
if delete and not live then
  -- It is gone already, at the latest since this stamp.
  if storedDeleted ~= '' and storedDeleted < deleted then
    redis.call('HSET', group, 'd', deleted)
  end
  return {'applied', version, count, shard[1] or '', tonumber(shard[2] or 0), ''}
end

-- A delta is of no use where the rest of the group is missing, or has gone back
-- in time: a failover lost writes that the writer knows of, and one more would
-- hide that. Versions tell no more than this; what is stored is told by stamps.
if live ~= hasBase or storedDeleted > baseDeleted or (live and not delete and storedVersion < baseVersion) then
  return everything()
end
if (exclusive or delete) and stamp(storedMeta) ~= baseMeta then
  return everything()
end
-- What was written or removed before all was deleted is as good as absent.
local function since(s) return s > baseDeleted and s or '' end
local differ, expected = {}, {}
for first = fieldsAt + 1, fieldsAt + 3 * fields, 3 * BATCH do
  local names = {}
  for i = first, math.min(first + 3 * BATCH - 1, fieldsAt + 3 * fields), 3 do
    names[#names + 1] = ARGV[i]
  end
  local values = damaged and {} or redis.call('HMGET', group, unpack(names))
  for i, name in ipairs(names) do
    expected[name] = true
    if since(stamp(values[i])) ~= since(ARGV[first + 3 * (i - 1) + 1]) then
      differ[#differ + 1] = name
      differ[#differ + 1] = values[i] or ''
    end
  end
end
if delete then
  local all = redis.call('HGETALL', group)
  for i = 1, #all, 2 do
    local name, value = all[i], all[i + 1]
    if string.sub(name, 1, 2) == 'a:' and not expected[name] and #value > STAMP and stamp(value) > baseDeleted then
      differ[#differ + 1] = name
      differ[#differ + 1] = value
    end
  end
end
if #differ > 0 then
  -- The version is left out: with it the writer would pass for one that has
  -- seen all of the group.
  for i, name in ipairs({'m', 'd'}) do
    if head[i] then
      differ[#differ + 1] = name
      differ[#differ + 1] = head[i]
    end
  end
  return {'conflict', differ}
end

-- From here on everything is written.
local function inBatches(command, key, args)
  for i = 1, #args, BATCH do
    redis.call(command, key, unpack(args, i, math.min(i + BATCH - 1, #args)))
  end
end

local kept = ''
version = math.max(version, leastVersion) + 1
count = math.max(count, leastNotified) + notified
if delete or damaged then
  redis.call('DEL', group)
end
if delete then
  redis.call('HSET', group, 'd', deleted, 'w', token, 's', schema)
  ttl = graveTTL
  redis.call('HDEL', index, id)
else
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
  inBatches('HDEL', group, del)
  -- Whether the group still fires is known only to who has seen all of it.
  if live and storedVersion ~= baseVersion then
    ttl = 0
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
  -- By the server's clock: a writer whose clock is wrong must not end history.
  local oldest = (tonumber(redis.call('TIME')[1]) - retention) * 1000
  if oldest > 0 then
    redis.call('ZREMRANGEBYLEX', history, '-', '(' .. string.format('%012x', oldest))
  end
end
for _, key in ipairs({group, timeline}) do
  if ttl > 0 then
    redis.call('EXPIRE', key, ttl)
  else
    redis.call('PERSIST', key)
  end
end

redis.call('HSETNX', meta, 'epoch', newEpoch)
local seq = redis.call('HINCRBY', meta, 'seq', 1)
local epoch = redis.call('HGET', meta, 'epoch')
-- Each entry names the one before it: a sequence repeats after a loss.
local before = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
local previous = ''
for i = 1, before and #before[2] or 0, 2 do
  if before[2][i] == 'token' then
    previous = before[2][i + 1]
  end
end
redis.call('XADD', log, 'MAXLEN', '~', maxLog, '*',
  'seq', seq, 'epoch', epoch, 'id', id, 'token', token, 'writer', writer, 'previous', previous)
return {'done', version, count, epoch, seq, kept, evicted}
