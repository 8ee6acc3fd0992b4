-- A process says that it lives, and may so be at work on what it has claimed.
-- KEYS: claimants   ARGV: instance
local claimants, instance = KEYS[1], ARGV[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local newest = redis.call('ZRANGE', claimants, -1, -1, 'WITHSCORES')[2]
-- Nobody's beat for so long: there was nobody, or no Redis. See claim.lua.
if not newest or tonumber(newest) < now - 2500 then
  redis.call('SET', claimants .. ':since', now)
end
redis.call('ZADD', claimants, now, instance)
redis.call('ZREMRANGEBYSCORE', claimants, '-inf', now - 3600000)
