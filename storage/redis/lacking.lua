-- Returns which of some groups are missing, which timelines of stored groups are
-- missing, and the length of the history of the shard. It also adds stored groups
-- that are missing in the index: otherwise a Muster that starts would not find
-- them.
local index, history = KEYS[1], KEYS[2]
local groups, timelines = {}, {}
for i = 1, #ARGV do
  local group, timeline = KEYS[2 * i + 1], KEYS[2 * i + 2]
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
return {groups, timelines, redis.call('ZCARD', history)}
