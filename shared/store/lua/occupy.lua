-- Take one of a number of slots; asking again for the same task is safe.
-- KEYS: slots   ARGV: task, s until the slot is free by itself, slots in all   Returns 1 if taken.
-- The script that writes the lookup down has its slot last as long as the lookup: plan.lua.
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[3])
then return 0 end
redis.call('ZADD', KEYS[1], 'GT', now + ARGV[2], ARGV[1])
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')[2]
redis.call('EXPIREAT', KEYS[1], math.ceil(last) + 60)
return 1
