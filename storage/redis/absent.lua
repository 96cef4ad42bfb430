-- Returns the positions of the events that are missing in the history of a shard,
-- or whose write is missing in the timeline of a stored group, or whose content is
-- missing. An event that a limit or the retention has removed is not missing.
local history, contents, uses, meta = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local maxHistory, maxTimeline, retention = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
-- The events in the history are that many more than its entries. An entry is removed as a
-- whole, so a full history may have a few events less than its maximum.
local extra, maxEntry = tonumber(redis.call('HGET', meta, ARGV[4])) or 0, tonumber(ARGV[5])
local KEYS_BEFORE, ARGS_BEFORE = 4, 5

-- Returns the oldest member that the limit keeps, or '' if the limit is not reached.
local function oldestKept(key, number, maximum)
  if number < maximum then
    return ''
  end
  return redis.call('ZRANGE', key, 0, 0)[1]
end
-- Reports whether the timeline has the write of the event, or the text of the event as in
-- an earlier version.
local function timelineHas(key, first, id)
  return redis.call('ZSCORE', key, string.sub(id, 1, 32)) or id < first or
    #redis.call('ZRANGE', key, '[' .. id .. '{', '[' .. id .. '|', 'BYLEX', 'LIMIT', 0, 1) > 0
end

local oldest = string.format('%012x', math.max(0, tonumber(redis.call('TIME')[1]) - retention) * 1000)
local entries = redis.call('ZCARD', history)
local firstInHistory = oldestKept(history, extra > 0 and entries + extra + maxEntry or entries, maxHistory)
if firstInHistory < oldest then
  firstInHistory = oldest
end
-- Reports whether an entry of the history has the event. It can only be the last one that
-- does not begin with a later event.
local entry = ''
local function historyHas(id)
  local begin = id .. '{'
  if id < firstInHistory or string.find(entry, begin, 1, true) then
    return true
  end
  entry = redis.call('ZRANGE', history, '[' .. id .. '|', '[' .. string.sub(id, 1, 32), 'BYLEX', 'REV', 'LIMIT', 0, 1)[1] or ''
  return string.find(entry, begin, 1, true)
end
-- By the position of the group's key: the first event that its timeline must have,
-- or false if the group is not stored.
local firstInTimeline = {}
for i = KEYS_BEFORE + 1, #KEYS, 2 do
  firstInTimeline[i] = redis.call('EXISTS', KEYS[i]) == 1 and
    oldestKept(KEYS[i + 1], redis.call('ZCARD', KEYS[i + 1]), maxTimeline)
end
-- Reports whether the content of an event in the history is stored.
local function hasContent(id, hash)
  return hash == '' or id < firstInHistory or
    redis.call('HGET', contents, hash) and redis.call('ZSCORE', uses, hash)
end

local absent = {}
for i = ARGS_BEFORE + 1, #ARGV, 3 do
  local id, group, hash = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2]
  local first = firstInTimeline[group]
  if id >= oldest and not (historyHas(id) and hasContent(id, hash) and
      (not first or timelineHas(KEYS[group + 1], first, id))) then
    absent[#absent + 1] = (i - ARGS_BEFORE - 1) / 3
  end
end
return absent
