-- Makes one write of one document, all or nothing. The script reads and compares
-- everything before its first write, because Redis does not roll back a script
-- that fails. Stamps are compared as text. The JSON of the records is never
-- decoded. The caller is store.go, which builds the arguments in this order. It puts
-- a line before this script that sets the limits, whose names are in capitals.
--
-- Most of the time of a write is not the work of the commands, but their number, and
-- that of conversions between numbers and texts. So the script makes few of them.
local document, index, log, meta, history, timeline = unpack(KEYS)
-- A local variable is found without a look-up. There are some arguments for each alert.
local ARGV, sub = ARGV, string.sub
local read = 0 -- the number of arguments that were read
local function arg() read = read + 1; return ARGV[read] end

local delete = arg() == 'delete'
local id, token, writer = arg(), arg(), arg()
local hasBase, baseHead, baseDeleted, baseVersion = arg() == '1', arg(), arg(), arg()
local exclusive, notified, change = arg() == '1', tonumber(arg()), arg()
local minVersion, minNotifications = arg(), arg()
local newHead, deleted, ttl = arg(), arg(), arg()
local records = tonumber(arg())
-- Each record has three arguments: its name, the expected stamp and its new text.
local recordsAt = read
read = read + 3 * records
-- Reads the entries of events, and then the contents that they have. Each content has two
-- arguments: its hash and its text. The keys are those of the events, the contents and
-- their uses. extra is by how many the events are more than the entries.
local function readEvents(eventsKey, contentsKey, usesKey, maximum)
  local new = {key = eventsKey, contents = contentsKey, uses = usesKey, maximum = maximum}
  new.entries, new.extra, new.entriesAt = tonumber(arg()), tonumber(arg()), read
  read = read + new.entries
  new.texts, new.textsAt = tonumber(arg()), read
  read = read + 2 * new.texts
  return new
end
local inHistory = readEvents(history, KEYS[7], KEYS[8], MAX_HISTORY)
local changed = readEvents(KEYS[9], KEYS[10], KEYS[11], MAX_CHANGED)

local STAMP = 32
-- Each CLEANING-th write of a shard removes what is past its time, and contents that no
-- event has any more. A write with more than FEW contents also removes contents.
local FEW = 16
-- The maximum number of values that one call of unpack gets. Unpack puts them on the
-- stack of Lua, which has space for some thousands.
local BATCH = 1000
-- Returns the stamp of a stored record.
local function stamp(value) return value and sub(value, 1, STAMP) or '' end

-- Reads the document's own fields, and the records that the write changes. If the writer knows
-- no document, it must not exist, so it has no records. A key of another type is damaged. If
-- it is the document, the script replaces it.
local damaged, names, values = false, {'m', 'd', 'v', 'n', 'w', 's'}, {}
local fields = #names
if hasBase then
  for i = 1, records do
    names[fields + i] = ARGV[recordsAt + 3 * i - 2]
  end
  fields = fields + records
end
for first = 1, fields, BATCH do
  local last = math.min(first + BATCH - 1, fields)
  local part = redis.pcall('HMGET', document, unpack(names, first, last))
  if part.err and not string.find(part.err, 'WRONGTYPE', 1, true) then
    return part
  end
  damaged = part.err
  if damaged then
    break
  end
  if fields <= BATCH then
    values = part
  else
    for i = 1, #part do
      values[first + i - 1] = part[i]
    end
  end
end
-- For the other keys that are written, these commands fail now instead of between two
-- writes. The index and the contents are written first, so they need no such command.
local logLength = redis.call('XLEN', log)
inHistory.length = redis.call('ZCARD', history)
local timelineLength = redis.call('ZCARD', timeline)
local logState = redis.call('HMGET', meta, 'epoch', 'seq', 'last', 'extra', 'extraChanged')
local seq = (tonumber(logState[2]) or 0) + 1
local cleaning = seq % CLEANING == 0
if changed.entries > 0 or cleaning then
  changed.length = redis.call('ZCARD', changed.key)
end
if cleaning then
  for _, new in ipairs({inHistory, changed}) do
    redis.call('HLEN', new.contents)
    redis.call('ZCARD', new.uses)
  end
end

local storedHead, storedDeleted = values[1], values[2] or ''
local storedVersion = values[3] or '0'
local version, notifications = tonumber(storedVersion) or 0, tonumber(values[4]) or 0
local live = storedHead and true or false
-- A stored group has events in the history and in its timeline. If these keys are
-- missing, Redis has evicted them.
local evicted = ''
if live then
  evicted = inHistory.length == 0 and 'history' or timelineLength == 0 and 'timeline' or ''
end

-- Reports whether the write is applied already, so the answer to an earlier run was lost.
-- This is the case if it was the last write, or if the timeline has it. The second needs
-- a document that was written since the writer has read it.
local function isApplied()
  return values[5] == token or (inHistory.entries > 0 and (storedVersion ~= baseVersion or storedDeleted ~= baseDeleted) and
    redis.call('ZSCORE', timeline, token))
end
if isApplied() then
  -- If other writes followed, the writer does not know the stored version.
  return {'applied', values[5] == token and values[3] or minVersion, values[4] or '0', '', ''}
end

-- Returns a conflict with all fields of the document.
local function conflict()
  return {'conflict', damaged and {} or redis.call('HGETALL', document)}
end
-- A newer Muster wrote the document, so this version must not change it.
if values[6] and values[6] ~= SCHEMA and (tonumber(values[6]) or 0) > tonumber(SCHEMA) then
  return conflict()
end
if delete and not live then
  -- The document is deleted already. Keep the later stamp of the two deletions.
  if storedDeleted ~= '' and storedDeleted < deleted then
    redis.call('HSET', document, 'd', deleted)
  end
  return {'applied', values[3] or '0', values[4] or '0', '', ''}
end

-- Reject a change if the rest of the document is missing or older than the writer
-- expects. In this case a failover has lost writes, and one more write would hide
-- the loss. The version only finds such a loss; stamps decide about conflicts.
if live ~= hasBase or storedDeleted > baseDeleted or (live and not delete and version < tonumber(baseVersion)) then
  return conflict()
end
if (exclusive or delete) and stamp(storedHead) ~= baseHead then
  return conflict()
end
-- Returns the stamp, or '' if it is not after the last deletion of the document: such
-- a record counts as absent.
local function afterDeletion(s) return s > baseDeleted and s or '' end
local differ = {}
for i = 1, records do
  local value = values[6 + i]
  if afterDeletion(stamp(value)) ~= afterDeletion(ARGV[recordsAt + 3 * i - 1]) then
    differ[#differ + 1] = ARGV[recordsAt + 3 * i - 2]
    differ[#differ + 1] = value or ''
  end
end
-- Reports whether this version knows the record. A later version may add others,
-- which its writer has never seen, so they are no conflict.
local function known(name)
  for _, prefix in ipairs(PREFIXES) do
    if sub(name, 1, #prefix) == prefix then
      return true
    end
  end
  return false
end
if delete then
  local expected = {}
  for _, name in ipairs(names) do
    expected[name] = true
  end
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
  for i = 1, 2 do
    if values[i] then
      differ[#differ + 1] = names[i]
      differ[#differ + 1] = values[i]
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
local function milliseconds(id) return text(tonumber(string.sub(id, 1, 12), 16)) end
-- Removes contents that no event has any more. The number is limited, so that no single
-- write has to remove many.
local function trimContents(new)
  local oldest = redis.call('ZRANGE', new.key, '0', '0')[1]
  local before = oldest and '(' .. milliseconds(oldest) or '+inf'
  local unused = redis.call('ZRANGE', new.uses, '-inf', before, 'BYSCORE', 'LIMIT', 0, 2 * CLEANING * FEW + 2 * new.texts)
  inBatches('HDEL', new.contents, unused)
  if #unused > 0 then -- they have the lowest scores
    redis.call('ZREMRANGEBYRANK', new.uses, 0, #unused - 1)
  end
end
-- Writes contents. If one of the keys has another type, nothing is written, or uses of
-- contents that are not stored.
local function writeContents(new)
  local texts, used, now = {}, {}, milliseconds(token)
  for i = 1, 2 * new.texts, 2 do
    local hash = ARGV[new.textsAt + i]
    texts[i], texts[i + 1] = hash, ARGV[new.textsAt + i + 1]
    used[i], used[i + 1] = now, hash
  end
  inBatches('ZADD', new.uses, used, 'GT')
  inBatches('HSET', new.contents, texts)
end
-- Writes the entries of events, and removes those beyond the limits, with their contents.
-- oldest is the least ID that the retention keeps, or nil if it removes nothing now. Before
-- the write, extra is by how many the events were more than the entries. Returns what it is
-- now.
local function writeEvents(new, extra, oldest)
  local length = (new.length or 0) + new.entries
  if new.entries > 0 then
    local members = {}
    for i = 1, new.entries do
      members[2 * i - 1], members[2 * i] = '0', ARGV[new.entriesAt + i]
    end
    inBatches('ZADD', new.key, members)
    extra = (new.length > 0 and extra or 0) + new.extra
    if new == inHistory then
      -- A write that joins others has events with the stamp of each.
      local stamps, last = {'0', token}, token
      for i = new.entriesAt + 1, new.entriesAt + new.entries do
        local s = stamp(ARGV[i])
        if s ~= last then
          stamps[#stamps + 1] = '0'
          stamps[#stamps + 1] = s
          last = s
        end
      end
      inBatches('ZADD', timeline, stamps)
      if timelineLength + #stamps / 2 > MAX_TIMELINE then
        redis.call('ZREMRANGEBYRANK', timeline, 0, -MAX_TIMELINE - 1)
      end
    end
  end
  if oldest or new.entries > 0 and length + extra > new.maximum then
    extra = trimEvents(new.key, length, extra, new.maximum, oldest)
  end
  if oldest or new.texts > FEW then
    trimContents(new)
  end
  return extra
end

local keptHead = ''
-- A reader with the version before gets the next one by the records that the change names.
local follows = live and not delete and version >= tonumber(minVersion)
version = text(math.max(version, tonumber(minVersion)) + 1)
notifications = text(math.max(notifications, tonumber(minNotifications)) + notified)
for _, new in ipairs({inHistory, changed}) do
  if new.texts > 0 then
    writeContents(new)
  end
end
if delete then
  redis.call('HDEL', index, id)
else
  redis.call('HSET', index, id, token)
end
if delete or damaged then
  redis.call('DEL', document)
end
if delete then
  redis.call('HSET', document, 'd', deleted, 'w', token, 's', SCHEMA)
  ttl = TOMBSTONE_TTL
else
  local set, del = {'v', version, 'n', notifications, 'w', token, 's', SCHEMA}, {}
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
  local n = #set
  for i = recordsAt + 1, recordsAt + 3 * records, 3 do
    if ARGV[i + 2] == '' then
      del[#del + 1] = ARGV[i]
    else
      set[n + 1], set[n + 2] = ARGV[i], ARGV[i + 2]
      n = n + 2
    end
  end
  inBatches('HSET', document, set)
  inBatches('HDEL', document, del)
  -- The TTL is for a document that ends. The writer has not read the latest version,
  -- which may not end: do not let it expire.
  if live and storedVersion ~= baseVersion then
    ttl = '0'
  end
end

local oldest
if cleaning then
  -- Use the clock of the server: a writer with a wrong clock must not remove events.
  oldest = string.format('%012x', math.max(0, tonumber(redis.call('TIME')[1]) - RETENTION) * 1000)
end
local extra = {tonumber(logState[4]) or 0, tonumber(logState[5]) or 0}
local left = {writeEvents(inHistory, extra[1], oldest), writeEvents(changed, extra[2], oldest)}
if ttl ~= '0' then
  redis.call('EXPIRE', document, ttl)
  -- If a group comes back, its timeline still has what the history has of it.
  redis.call('EXPIRE', timeline, text(math.max(tonumber(ttl), RETENTION)))
else
  if live or storedDeleted ~= '' then
    redis.call('PERSIST', document)
  end
  if timelineLength > 0 then
    redis.call('PERSIST', timeline)
  end
end

-- Each entry names the entry before it. The sequence is not enough, because it
-- repeats after a loss of data. The last entry is noted with its sequence: a version
-- that does not note it increases the sequence.
local previous, noted = '', (logState[2] or '') .. ' '
if logLength > 0 and logState[3] and string.sub(logState[3], 1, #noted) == noted then
  previous = string.sub(logState[3], #noted + 1)
elseif logLength > 0 then
  local last = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
  for i = 1, last and #last[2] or 0, 2 do
    if last[2][i] == 'token' then
      previous = last[2][i + 1]
    end
  end
end
local epoch = logState[1]
if not epoch then
  -- The time tells it from the epoch before, if the same write began that one.
  local now = redis.call('TIME')
  epoch = token .. '-' .. now[1] .. '-' .. now[2]
  redis.call('HSET', meta, 'epoch', epoch)
  redis.call('HSETNX', meta, 'schema', SCHEMA)
end
seq = text(seq)
if left[1] ~= extra[1] or left[2] ~= extra[2] then
  redis.call('HSET', meta, 'seq', seq, 'last', seq .. ' ' .. token, 'extra', text(left[1]), 'extraChanged', text(left[2]))
else
  redis.call('HSET', meta, 'seq', seq, 'last', seq .. ' ' .. token)
end
redis.call('XADD', log, 'MAXLEN', '~', MAX_LOG, '*',
  'seq', seq, 'epoch', epoch, 'id', id, 'token', token, 'writer', writer, 'previous', previous,
  'change', (follows and version or '0') .. '\n' .. change)
return {'done', version, notifications, keptHead, evicted}
