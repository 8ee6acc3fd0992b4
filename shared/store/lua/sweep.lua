-- Take what is overdue, and leave it for later: another replica need not take it as well.
-- KEYS: zset by time (s)
-- ARGV: now ms (0: Redis' own clock), overdue for so long (s), look again after (s), how many
-- A write that frees comes first: with the memory full, Redis then lets the others pass.
redis.call('ZREM', KEYS[1], '')
local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
now = now / 1000
local found = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2], 'LIMIT', 0, ARGV[4])
for _, each in ipairs(found) do redis.call('ZADD', KEYS[1], now - ARGV[2] + ARGV[3], each) end
return found
