-- Functions about the entries of a history. The scripts that use them follow here.

-- Returns a number as text. Redis would write it as a number with a fraction, which
-- takes longer.
local function text(number) return string.format('%d', number) end
-- Returns by how many the events of an entry are more than one.
local function extraOf(entry)
  local n, at = 0, string.find(entry, '\n', 1, true)
  while at do
    n, at = n + 1, string.find(entry, '\n', at + 1, true)
  end
  return n
end
-- Removes the oldest entries while there are more events than the maximum, or while they
-- are before oldest, which may be nil. extra is by how many the events are more than the
-- entries. Returns what is left of it. The number of removed entries is limited, so that
-- no single write has to remove very many.
local function trimEvents(key, entries, extra, maximum, oldest)
  local size = 2
  for _ = 1, 200 do
    local first, removed = redis.call('ZRANGE', key, '0', text(size - 1)), 0
    for _, entry in ipairs(first) do
      if entries + extra <= maximum and not (oldest and string.sub(entry, 1, #oldest) < oldest) then
        break
      end
      entries, extra, removed = entries - 1, extra - extraOf(entry), removed + 1
    end
    if removed > 0 then
      redis.call('ZREMRANGEBYRANK', key, '0', text(removed - 1))
    end
    if removed < size then
      break
    end
    size = math.min(2 * size, 64)
  end
  return entries > 0 and math.max(extra, 0) or 0
end
