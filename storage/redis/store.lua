-- Makes one write of one document, all or nothing. The script reads and compares
-- everything before its first write, because Redis does not roll back a script
-- that fails. Stamps are compared as text. The JSON of the records is never
-- decoded. The caller is store.go, which builds the arguments in this order.
local document, index, log, meta, history, timeline = unpack(KEYS)
local read = 0 -- the number of arguments that were read
local function arg() read = read + 1; return ARGV[read] end

local delete = arg() == 'delete'
local id, token, writer, newEpoch, schema = arg(), arg(), arg(), arg(), arg()
local hasBase, baseHead, baseDeleted, baseVersion = arg() == '1', arg(), arg(), tonumber(arg())
local exclusive, notified = arg() == '1', tonumber(arg())
local minVersion, minNotifications = tonumber(arg()), tonumber(arg())
local newHead, deleted, ttl = arg(), arg(), tonumber(arg())
local tombstoneTTL, maxLog = tonumber(arg()), arg()
local maxHistory, maxChanged, maxTimeline, retention = tonumber(arg()), tonumber(arg()), tonumber(arg()), tonumber(arg())
-- The prefixes of the names of the records that this version of Muster knows, and
-- their lengths.
local prefixes = {}
for _ = 1, tonumber(arg()) do
  local prefix = arg()
  prefixes[prefix] = #prefix
end
local records = tonumber(arg())
-- Each record has three arguments: its name, the expected stamp and its new text.
local recordsAt = read
read = read + 3 * records
-- Reads events, and then the contents that they have. Each content has two arguments:
-- its hash and its text. The keys are those of the events, the contents and their uses.
local function readEvents(eventsKey, contentsKey, usesKey, maximum)
  local new = {key = eventsKey, contents = contentsKey, uses = usesKey, maximum = maximum}
  new.events, new.eventsAt = tonumber(arg()), read
  read = read + new.events
  new.texts, new.textsAt = tonumber(arg()), read
  read = read + 2 * new.texts
  return new
end
local inHistory = readEvents(history, KEYS[7], KEYS[8], maxHistory)
local changed = readEvents(KEYS[9], KEYS[10], KEYS[11], maxChanged)

local STAMP = 32
-- The maximum number of values that one call of unpack gets. Unpack puts them on the
-- stack of Lua, which has space for some thousands.
local BATCH = 1000
-- Returns the stamp of a stored record.
local function stamp(value) return value and string.sub(value, 1, STAMP) or '' end

-- A key of another type is damaged. If it is the document, the script replaces it. For
-- the other keys, these commands fail now instead of between two writes.
local damaged = redis.call('TYPE', document).ok
damaged = damaged ~= 'hash' and damaged ~= 'none'
redis.call('HLEN', index)
redis.call('XLEN', log)
redis.call('ZCARD', changed.key)
for _, new in ipairs({inHistory, changed}) do
  redis.call('HLEN', new.contents)
  redis.call('ZCARD', new.uses)
end
local lengths = {history = redis.call('ZCARD', history), timeline = redis.call('ZCARD', timeline)}
local logState = redis.call('HMGET', meta, 'epoch', 'seq')

local head = {false, false, false, false, false, false}
if not damaged then
  head = redis.call('HMGET', document, 'm', 'd', 'v', 'n', 'w', 's')
end
local storedHead, storedDeleted = head[1], head[2] or ''
local storedVersion = tonumber(head[3] or 0) or 0
local version, notifications = storedVersion, tonumber(head[4] or 0) or 0
local live = storedHead and true or false
-- A stored group has events in the history and in its timeline. If these keys are
-- missing, Redis has evicted them.
local evicted = ''
if live then
  evicted = lengths.history == 0 and 'history' or lengths.timeline == 0 and 'timeline' or ''
end

-- If the write is applied already, the answer to an earlier run was lost. This is
-- the case if it was the last write, or if its first event is stored.
if head[5] == token or (inHistory.events > 0 and redis.call('ZSCORE', timeline, ARGV[inHistory.eventsAt + 1])) then
  return {'applied', version, notifications, logState[1] or '', tonumber(logState[2] or 0), ''}
end

-- Returns a conflict with all fields of the document.
local function conflict()
  return {'conflict', damaged and {} or redis.call('HGETALL', document)}
end
-- A newer Muster wrote the document, so this version must not change it.
if (tonumber(head[6] or 0) or 0) > tonumber(schema) then
  return conflict()
end
if delete and not live then
  -- The document is deleted already. Keep the later stamp of the two deletions.
  if storedDeleted ~= '' and storedDeleted < deleted then
    redis.call('HSET', document, 'd', deleted)
  end
  return {'applied', version, notifications, logState[1] or '', tonumber(logState[2] or 0), ''}
end

-- Reject a change if the rest of the document is missing or older than the writer
-- expects. In this case a failover has lost writes, and one more write would hide
-- the loss. The version only finds such a loss; stamps decide about conflicts.
if live ~= hasBase or storedDeleted > baseDeleted or (live and not delete and storedVersion < baseVersion) then
  return conflict()
end
if (exclusive or delete) and stamp(storedHead) ~= baseHead then
  return conflict()
end
-- Returns the stamp, or '' if it is not after the last deletion of the document: such
-- a record counts as absent.
local function afterDeletion(s) return s > baseDeleted and s or '' end
local differ, expected = {}, {}
for first = recordsAt + 1, recordsAt + 3 * records, 3 * BATCH do
  local names = {}
  for i = first, math.min(first + 3 * BATCH - 1, recordsAt + 3 * records), 3 do
    names[#names + 1] = ARGV[i]
  end
  local values = damaged and {} or redis.call('HMGET', document, unpack(names))
  for i, name in ipairs(names) do
    expected[name] = true
    if afterDeletion(stamp(values[i])) ~= afterDeletion(ARGV[first + 3 * (i - 1) + 1]) then
      differ[#differ + 1] = name
      differ[#differ + 1] = values[i] or ''
    end
  end
end
-- Reports whether this version knows the record. A later version may add others,
-- which its writer has never seen, so they are no conflict.
local function known(name)
  for prefix, length in pairs(prefixes) do
    if string.sub(name, 1, length) == prefix then
      return true
    end
  end
  return false
end
if delete then
  local all = redis.call('HGETALL', document)
  for i = 1, #all, 2 do
    local name, value = all[i], all[i + 1]
    if known(name) and not expected[name] and #value > STAMP and stamp(value) > baseDeleted then
      differ[#differ + 1] = name
      differ[#differ + 1] = value
    end
  end
end
if #differ > 0 then
  -- Do not return the version. The writer gets only a part of the document here, but
  -- with the version it would claim that it has read the whole document.
  for i, name in ipairs({'m', 'd'}) do
    if head[i] then
      differ[#differ + 1] = name
      differ[#differ + 1] = head[i]
    end
  end
  return {'conflict', differ}
end

-- All comparisons are done. The rest of the script writes.
local function inBatches(command, key, args, option)
  for i = 1, #args, BATCH do
    local last = math.min(i + BATCH - 1, #args)
    if option then
      redis.call(command, key, option, unpack(args, i, last))
    else
      redis.call(command, key, unpack(args, i, last))
    end
  end
end
-- Returns the time at the start of the ID of an event, in milliseconds.
local function milliseconds(id) return tonumber(string.sub(id, 1, 12), 16) end
-- Removes contents that no event has any more. The number is limited, so that no single
-- write has to remove many.
local function trimContents(new)
  local oldest = redis.call('ZRANGE', new.key, 0, 0)[1]
  local before = oldest and '(' .. string.format('%.0f', milliseconds(oldest)) or '+inf'
  local unused = redis.call('ZRANGE', new.uses, '-inf', before, 'BYSCORE', 'LIMIT', 0, 100 + 2 * new.texts)
  inBatches('HDEL', new.contents, unused)
  if #unused > 0 then -- they have the lowest scores
    redis.call('ZREMRANGEBYRANK', new.uses, 0, #unused - 1)
  end
end
-- Writes contents.
local function writeContents(new)
  local texts, used, now = {}, {}, milliseconds(token)
  for i = new.textsAt + 1, new.textsAt + 2 * new.texts, 2 do
    texts[#texts + 1] = ARGV[i]
    texts[#texts + 1] = ARGV[i + 1]
    used[#used + 1] = now
    used[#used + 1] = ARGV[i]
  end
  inBatches('HSET', new.contents, texts)
  inBatches('ZADD', new.uses, used, 'GT')
end
-- Writes events with their contents, and removes those beyond the limits. oldest is the
-- time of the oldest event that the retention keeps, in milliseconds.
local function writeEvents(new, oldest)
  local removed = 0
  if new.events > 0 then
    local members = {}
    for i = new.eventsAt + 1, new.eventsAt + new.events do
      members[#members + 1] = '0'
      members[#members + 1] = ARGV[i]
    end
    writeContents(new)
    inBatches('ZADD', new.key, members)
    if new == inHistory then
      inBatches('ZADD', timeline, members)
      redis.call('ZREMRANGEBYRANK', timeline, 0, -maxTimeline - 1)
    end
    removed = redis.call('ZREMRANGEBYRANK', new.key, 0, -new.maximum - 1)
  end
  if oldest > 0 then
    removed = removed + redis.call('ZREMRANGEBYLEX', new.key, '-', '(' .. string.format('%012x', oldest))
  end
  if removed > 0 or new.texts > 0 then
    trimContents(new)
  end
end

local keptHead = ''
version = math.max(version, minVersion) + 1
notifications = math.max(notifications, minNotifications) + notified
if delete or damaged then
  redis.call('DEL', document)
end
if delete then
  redis.call('HSET', document, 'd', deleted, 'w', token, 's', schema)
  ttl = tombstoneTTL
  redis.call('HDEL', index, id)
else
  local set, del = {'v', version, 'n', notifications, 'w', token, 's', schema}, {}
  if not exclusive and stamp(storedHead) > stamp(newHead) then
    keptHead = storedHead
  else
    set[#set + 1] = 'm'
    set[#set + 1] = newHead
  end
  if deleted ~= '' then
    set[#set + 1] = 'd'
    set[#set + 1] = deleted
  end
  for i = recordsAt + 1, recordsAt + 3 * records, 3 do
    if ARGV[i + 2] == '' then
      del[#del + 1] = ARGV[i]
    else
      set[#set + 1] = ARGV[i]
      set[#set + 1] = ARGV[i + 2]
    end
  end
  inBatches('HSET', document, set)
  inBatches('HDEL', document, del)
  -- The TTL is for a document that ends. The writer has not read the latest version,
  -- which may not end: do not let it expire.
  if live and storedVersion ~= baseVersion then
    ttl = 0
  end
  redis.call('HSET', index, id, token)
end

if inHistory.events > 0 or changed.events > 0 then
  -- Use the clock of the server: a writer with a wrong clock must not remove events.
  local oldest = (tonumber(redis.call('TIME')[1]) - retention) * 1000
  writeEvents(inHistory, oldest)
  writeEvents(changed, oldest)
end
for _, key in ipairs({document, timeline}) do
  if ttl > 0 then
    redis.call('EXPIRE', key, ttl)
  else
    redis.call('PERSIST', key)
  end
end

if redis.call('HSETNX', meta, 'epoch', newEpoch) == 1 then
  redis.call('HSETNX', meta, 'schema', schema)
end
local seq = redis.call('HINCRBY', meta, 'seq', 1)
local epoch = redis.call('HGET', meta, 'epoch')
-- Each entry names the entry before it. The sequence is not enough, because it
-- repeats after a loss of data.
local last = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
local previous = ''
for i = 1, last and #last[2] or 0, 2 do
  if last[2][i] == 'token' then
    previous = last[2][i + 1]
  end
end
redis.call('XADD', log, 'MAXLEN', '~', maxLog, '*',
  'seq', seq, 'epoch', epoch, 'id', id, 'token', token, 'writer', writer, 'previous', previous)
return {'done', version, notifications, epoch, seq, keptHead, evicted}
