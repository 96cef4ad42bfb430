-- Tells whether a log still holds an entry that was seen in it. If not, writes
-- were lost, unless the log was trimmed or removed since: that is not known.
local log, id, token, seq = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])
local function field(entry, name)
  for i = 1, #entry[2], 2 do
    if entry[2][i] == name then
      return entry[2][i + 1]
    end
  end
end
local at = redis.call('XREVRANGE', log, id, id, 'COUNT', 1)[1]
if at then
  return field(at, 'token') == token and 'held' or 'lost'
end
local last = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
if not last or seq <= (tonumber(field(last, 'seq')) or 0) - redis.call('XLEN', log) then
  return 'unknown'
end
return 'lost'
