-- Tells which events a shard's history, or the timeline of a group that is
-- stored, does not hold. What a limit or the retention has removed is not absent.
local history, maxHistory, maxTimeline, retention = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])

-- The first event that a limit would keep.
local function floor(key, most)
  if redis.call('ZCARD', key) < most then
    return ''
  end
  return redis.call('ZRANGE', key, 0, 0)[1]
end
local function holds(key, from, id)
  return id < from or #redis.call('ZRANGE', key, '[' .. id .. '{', '[' .. id .. '|', 'BYLEX', 'LIMIT', 0, 1) > 0
end

local oldest = string.format('%012x', math.max(0, tonumber(redis.call('TIME')[1]) - retention) * 1000)
local from = floor(history, maxHistory)
if from < oldest then
  from = oldest
end
local timelines = {}
for i = 2, #KEYS, 2 do
  timelines[i] = redis.call('EXISTS', KEYS[i]) == 1 and floor(KEYS[i + 1], maxTimeline)
end
local absent = {}
for i = 4, #ARGV, 2 do
  local id, group = ARGV[i], tonumber(ARGV[i + 1])
  local since = timelines[group]
  if id >= oldest and (not holds(history, from, id) or since and not holds(KEYS[group + 1], since, id)) then
    absent[#absent + 1] = (i - 4) / 2
  end
end
return absent
