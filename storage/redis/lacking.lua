-- Returns which of some groups are missing, which timelines of stored groups are
-- missing. Then it returns the numbers of events and of contents in the history of the
-- shard, and the same for the changed events. A number of contents is -1 if contents
-- were lost. The script also adds stored groups that are missing in the index: otherwise
-- a Muster that starts would not find them.
local index, history, changed = KEYS[1], KEYS[2], KEYS[5]
local groups, timelines = {}, {}
for i = 1, #ARGV do
  local group, timeline = KEYS[2 * i + 6], KEYS[2 * i + 7]
  if redis.call('TYPE', group).ok == 'hash' then
    local head = redis.call('HMGET', group, 'm', 'w')
    if head[1] then
      redis.call('HSETNX', index, ARGV[i], head[2] or '')
      if redis.call('EXISTS', timeline) == 0 then
        timelines[#timelines + 1] = ARGV[i]
      end
    end
  elseif redis.call('EXISTS', group) == 0 then
    groups[#groups + 1] = ARGV[i]
  end
end
-- Returns the number of contents, or -1.
local function countContents(contents, uses)
  if redis.call('EXISTS', contents, uses) ~= 1 then
    return redis.call('HLEN', contents)
  end
  -- One of these keys is useless without the other: the contents would stay forever.
  redis.call('DEL', contents, uses)
  return -1
end
return {
  groups, timelines, redis.call('ZCARD', history), countContents(KEYS[3], KEYS[4]),
  redis.call('ZCARD', changed), countContents(KEYS[6], KEYS[7]),
}
