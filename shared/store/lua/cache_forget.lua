-- Remove a subject, whatever version it was written under.
-- KEYS: version   ARGV: kind, digest   Returns how many keys went.
local member = ARGV[1] .. ':' .. ARGV[2]
local removed = 0
for version = 1, tonumber(redis.call('GET', KEYS[1]) or '1') do
  removed = removed + redis.call('UNLINK', 'consulta:v' .. version .. ':' .. member)
  redis.call('ZREM', 'consulta:cache:keys:' .. version, member)
end
return removed
