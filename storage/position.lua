-- Tells where a log stands: its epoch, which is written if there is none, its
-- sequence and its last entry, all of one moment.
local meta, log, newEpoch = KEYS[1], KEYS[2], ARGV[1]
local last = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)
redis.call('HSETNX', meta, 'epoch', newEpoch)
local head = redis.call('HMGET', meta, 'epoch', 'seq')
return {head[1], tonumber(head[2] or 0), last[1] and last[1][1] or '0-0'}
