-- Returns the position of a log: its epoch, its sequence and its last entry, all at
-- one point in time. It writes the epoch and the number of shards if they are
-- missing. The number of shards is stored because a process with another number
-- would not find the groups. It also returns the schema of the keys, and increases it
-- to the one of this version.
local meta, log, newEpoch, shards, schema = KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3]
local last = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)
local isNew = redis.call('HSETNX', meta, 'epoch', newEpoch) == 1
redis.call('HSETNX', meta, 'shards', shards)
local head = redis.call('HMGET', meta, 'epoch', 'seq', 'shards', 'schema')
-- The first schema was not stored here.
local found = head[4] or (isNew and schema or '1')
if not head[4] or (tonumber(head[4]) or 0) < tonumber(schema) then
  redis.call('HSET', meta, 'schema', schema)
end
local token = ''
for i = 1, last[1] and #last[1][2] or 0, 2 do
  if last[1][2][i] == 'token' then
    token = last[1][2][i + 1]
  end
end
return {head[1], tonumber(head[2] or 0), last[1] and last[1][1] or '0-0', head[3], token, found}
