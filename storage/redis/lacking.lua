-- Returns which of some groups are missing, which timelines of stored groups are
-- missing, and the numbers of events and of contents in the shard. The latter is -1
-- if contents were lost. It also adds stored groups that are missing in the index:
-- otherwise a Muster that starts would not find them.
local index, history, contents, uses = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local groups, timelines = {}, {}
for i = 1, #ARGV do
  local group, timeline = KEYS[2 * i + 3], KEYS[2 * i + 4]
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
local stored = redis.call('HLEN', contents)
if redis.call('EXISTS', contents, uses) == 1 then
  -- One of these keys is useless without the other: the contents would stay forever.
  redis.call('DEL', contents, uses)
  stored = -1
end
return {groups, timelines, redis.call('ZCARD', history), stored}
