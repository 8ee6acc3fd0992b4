-- Write down a lookup that is accepted but not planned yet, and watch its deadline from now on.
-- KEYS: lookup, deadlines
-- ARGV: now ms (0: Redis' own clock), task, ms until its deadline, slack s, then field, value …
-- Returns {1 if it is new, its deadline ms}; one that was known keeps the deadline it has.
local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
if redis.call('EXISTS', KEYS[1]) == 1 then
  return {0, redis.call('HGET', KEYS[1], 'deadline') or '0'}
end
local left = tonumber(ARGV[3])
local deadline = string.format('%.0f', now + left)
redis.call('HSET', KEYS[1], 'deadline', deadline, unpack(ARGV, 5))
redis.call('EXPIRE', KEYS[1], math.ceil(left / 1000) + ARGV[4])
redis.call('ZADD', KEYS[2], deadline / 1000, ARGV[2])
return {1, deadline}
