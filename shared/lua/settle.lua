-- A call is over: its permit counts from this moment on, for the length of the window.
-- KEYS: permits
-- ARGV: now us (0: Redis' own clock), permit id, margin us: for so long, but not beyond the permit's
--       lease, the call may still be on its way to the provider; until then it counts as out
local now, id, margin = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local till = redis.call('ZSCORE', KEYS[1], id)
if not till then return 0 end
local over = math.max(now, math.min(now + margin, tonumber(till)))
return redis.call('ZADD', KEYS[1], 'XX', string.format('%.0f', over), id)
