-- An exact sliding window: at most `limit` calls in any stretch of `window` microseconds.
-- KEYS: permits, birth (see shared/limits.py)
-- ARGV: now us (0: Redis' own clock), permit id, lease us, us after which to ask again where that
--       may help (0: when the wait is over), the birth that the asker knows (0: none),
--       limit, window us, …
-- Returns {wait us, lease left us, birth}: no wait if the permit is granted, be it before, by an
-- answer that got lost; else how long until it is worth asking again. Durations, so that nobody's
-- clock but this one matters. Without a limit it only looks at the birth.
--
-- A permit's score is the time its call is known to have been over with at the provider. While it
-- is out, that is unknown, so it stands at now + lease and counts in every window. See
-- shared/limits.py for why this holds at the provider and not only here.
local HOUR = 3600000000
local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local id, lease = ARGV[2], tonumber(ARGV[3])
local again, known = tonumber(ARGV[4]), tonumber(ARGV[5])

-- What is over once it is granted protects no provider, and so has no permits out to be forgotten.
local born, lost = 0, -math.huge
if lease > 0 then
  local found = redis.call('HMGET', KEYS[2], 'born', 'lost')
  born, lost = tonumber(found[1] or now), tonumber(found[2] or lost)
  if not found[1] then redis.call('HSET', KEYS[2], 'born', string.format('%.0f', born)) end
  if known > 0 and known ~= born then
    lost = born + lease
    redis.call('HSET', KEYS[2], 'lost', string.format('%.0f', lost))
  end
end
if #ARGV < 6 then return {0, 0, born} end

local held = redis.call('ZSCORE', KEYS[1], id)
if held then return {0, tonumber(held) - now, born} end

local retry, longest, paused = 0, 0, false
for index = 6, #ARGV, 2 do
  local limit, window = tonumber(ARGV[index]), tonumber(ARGV[index + 1])
  longest = math.max(longest, window)
  local over = lost + math.min(window, HOUR)
  if over > now then retry, paused = math.max(retry, over), true end
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
  -- Only the process that has it hears of one that comes back unused, and nobody of a pause that
  -- an operator has ended.
  local sooner = paused or redis.call('ZCOUNT', KEYS[1], string.format('(%.0f', now), '+inf') > 0
  if again > 0 and sooner then retry = math.min(retry, now + again) end
  -- At least one: to wait for nothing is to be granted it.
  return {math.max(1, retry - now), 0, born}
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - longest))
redis.call('ZADD', KEYS[1], string.format('%.0f', now + lease), id)
redis.call('PEXPIRE', KEYS[1], math.ceil((longest + lease) / 1000) + 1000)
return {0, lease, born}
