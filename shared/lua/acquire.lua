-- An exact sliding window: at most `limit` calls in any stretch of `window` microseconds.
-- KEYS: permits
-- ARGV: now us (0: Redis' own clock), permit id, lease us, us after which to ask again while one is
--       out that may come back unused (0: when the wait is over), limit, window us, …
-- Returns {wait us, lease left us}: no wait if the permit is granted, be it before, by an answer
-- that got lost; else how long until it is worth asking again. Durations, so that nobody's clock
-- but this one matters.
--
-- A permit's score is the time its call is known to have been over with at the provider. While it
-- is out, that is unknown, so it stands at now + lease and counts in every window. See
-- shared/limits.py for why this holds at the provider and not only here.
local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local id, lease, again = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local held = redis.call('ZSCORE', KEYS[1], id)
if held then return {0, tonumber(held) - now} end

local retry, longest = 0, 0
for index = 5, #ARGV, 2 do
  local limit, window = tonumber(ARGV[index]), tonumber(ARGV[index + 1])
  longest = math.max(longest, window)
  local since = string.format('(%.0f', now - window)
  local used = redis.call('ZCOUNT', KEYS[1], since, '+inf')
  if used >= limit then
    local blocker = redis.call('ZRANGEBYSCORE', KEYS[1], since, '+inf', 'WITHSCORES',
      'LIMIT', used - limit, 1)
    -- One that is still out may be back at any moment; its window begins now at the earliest.
    retry = math.max(retry, math.min(tonumber(blocker[2]), now) + window)
  end
end
if retry > 0 then
  local out = redis.call('ZCOUNT', KEYS[1], string.format('(%.0f', now), '+inf')
  -- Only the process that has it hears of one that comes back unused.
  if again > 0 and out > 0 then retry = math.min(retry, now + again) end
  -- At least one: to wait for nothing is to be granted it.
  return {math.max(1, retry - now), 0}
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - longest))
redis.call('ZADD', KEYS[1], string.format('%.0f', now + lease), id)
redis.call('PEXPIRE', KEYS[1], math.ceil((longest + lease) / 1000) + 1000)
return {0, lease}
