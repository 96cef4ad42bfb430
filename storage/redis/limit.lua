-- Removes the oldest events beyond a maximum.
local meta, history, field, maximum = KEYS[1], KEYS[2], ARGV[1], tonumber(ARGV[2])
local extra = tonumber(redis.call('HGET', meta, field)) or 0
local left = trimEvents(history, redis.call('ZCARD', history), extra, maximum)
if left ~= extra then
  redis.call('HSET', meta, field, text(left))
end
return left
