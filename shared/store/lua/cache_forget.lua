-- Remove a subject, whatever version it was written under. Whoever asks from now on joins no flight
-- that may have been told what is removed.
-- KEYS: version   ARGV: kind, digest   Returns how many keys went.
local member = ARGV[1] .. ':' .. ARGV[2]
local removed = 0
for version = 1, tonumber(redis.call('GET', KEYS[1]) or '1') do
  removed = removed + redis.call('UNLINK', 'consulta:v' .. version .. ':' .. member)
  redis.call('ZREM', 'consulta:cache:keys:' .. version, member)
end
redis.call('UNLINK', 'consulta:inflight:' .. ARGV[2])
return removed
