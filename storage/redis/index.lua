-- Removes expired groups from an index. The caller found that they are not stored.
-- The script checks this again, because another writer may have stored a group
-- meanwhile.
for i = 2, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 0 then
    redis.call('HDEL', KEYS[1], ARGV[i - 1])
  end
end
return 0
