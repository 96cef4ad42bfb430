-- Returns the positions of the events that are missing in the history of a shard,
-- or whose write is missing in the timeline of a stored group, or whose content is
-- missing. An event that a limit or the retention has removed is not missing.
local history, contents, uses = KEYS[1], KEYS[2], KEYS[3]
local maxHistory, maxTimeline, retention = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])

-- Returns the oldest event that the limit keeps, or '' if the limit is not reached.
local function oldestKept(key, maximum)
  if redis.call('ZCARD', key) < maximum then
    return ''
  end
  return redis.call('ZRANGE', key, 0, 0)[1]
end
-- Reports whether the key has the text of the event, or the event is before the first
-- that must be there.
local function has(key, first, id)
  return id < first or #redis.call('ZRANGE', key, '[' .. id .. '{', '[' .. id .. '|', 'BYLEX', 'LIMIT', 0, 1) > 0
end
-- Reports whether the timeline has the write of the event, or the text of the event as in
-- an earlier version.
local function timelineHas(key, first, id)
  return redis.call('ZSCORE', key, string.sub(id, 1, 32)) or has(key, first, id)
end

local oldest = string.format('%012x', math.max(0, tonumber(redis.call('TIME')[1]) - retention) * 1000)
local firstInHistory = oldestKept(history, maxHistory)
if firstInHistory < oldest then
  firstInHistory = oldest
end
-- By the position of the group's key: the first event that its timeline must have,
-- or false if the group is not stored.
local firstInTimeline = {}
for i = 4, #KEYS, 2 do
  firstInTimeline[i] = redis.call('EXISTS', KEYS[i]) == 1 and oldestKept(KEYS[i + 1], maxTimeline)
end
-- Reports whether the content of an event in the history is stored.
local function hasContent(id, hash)
  return hash == '' or id < firstInHistory or
    redis.call('HGET', contents, hash) and redis.call('ZSCORE', uses, hash)
end

local absent = {}
for i = 4, #ARGV, 3 do
  local id, group, hash = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2]
  local first = firstInTimeline[group]
  if id >= oldest and not (has(history, firstInHistory, id) and hasContent(id, hash) and
      (not first or timelineHas(KEYS[group + 1], first, id))) then
    absent[#absent + 1] = (i - 4) / 3
  end
end
return absent
