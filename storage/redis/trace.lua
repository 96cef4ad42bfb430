-- Returns whether a log still has an entry that was seen in it: 'held' or 'lost'.
-- It returns 'unknown' if the log was trimmed or removed since then, because the
-- entry may be missing for this reason.
local log, id, token, seq = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])
local function field(entry, name)
  for i = 1, #entry[2], 2 do
    if entry[2][i] == name then
      return entry[2][i + 1]
    end
  end
end
local seen = redis.call('XREVRANGE', log, id, id, 'COUNT', 1)[1]
if seen then
  return field(seen, 'token') == token and 'held' or 'lost'
end
local last = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
if not last or seq <= (tonumber(field(last, 'seq')) or 0) - redis.call('XLEN', log) then
  return 'unknown'
end
return 'lost'
