-- A call is over: its permit counts from this moment on, for the length of the window.
-- KEYS: permits   ARGV: now us (0: Redis' own clock), permit id
local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
return redis.call('ZADD', KEYS[1], 'XX', string.format('%.0f', now), ARGV[2])
