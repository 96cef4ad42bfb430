-- Drops from an index the groups that are no longer stored: those that expired.
-- It looks again, since another writer may have stored one meanwhile.
for i = 2, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 0 then
    redis.call('HDEL', KEYS[1], ARGV[i - 1])
  end
end
return 0
