-- Join the line before a limited queue, and tell when the turn comes at the earliest.
-- KEYS: waiting, permits, flight, birth (see acquire.lua)
-- ARGV: now us (0: Redis' own clock), flight id, step, order, limit, window us, …
-- Returns 0 if a permit is free for this one, else how long (us) until its permit comes free.
local HOUR = 3600000000
local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
redis.call('ZADD', KEYS[1], 'NX', string.format('%.0f', now), ARGV[2])
if #ARGV > 4 and redis.call('EXISTS', KEYS[3]) == 1 then
  -- Kept for the case that others overtake it for too long: see claim.lua.
  redis.call('HSET', KEYS[3], 'order:' .. ARGV[3], ARGV[4])
end
local place = redis.call('ZRANK', KEYS[1], ARGV[2])
local wait = 0
local lost = redis.call('HGET', KEYS[4], 'lost')
for index = 5, #ARGV, 2 do
  local limit, window = tonumber(ARGV[index]), tonumber(ARGV[index + 1])
  local since = string.format('(%.0f', now - window)
  local ahead = redis.call('ZCOUNT', KEYS[2], since, '+inf') + place
  if ahead >= limit then
    -- The permits in use come free one by one, then again a window later.
    local rounds = math.floor((ahead - limit) / limit)
    local slot = redis.call('ZRANGEBYSCORE', KEYS[2], since, '+inf', 'WITHSCORES',
      'LIMIT', (ahead - limit) % limit, 1)
    local free = slot[2] and math.min(tonumber(slot[2]), now) or now
    wait = math.max(wait, free + window * (rounds + 1) - now)
  end
  if lost then wait = math.max(wait, lost + math.min(window, HOUR) - now) end
end
return wait
