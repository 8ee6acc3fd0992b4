-- Join the line before a limited queue, and tell when the turn comes at the earliest: 0 if a permit is
-- free for this one, else how long (us) until its permit comes free.
-- `windows` is limit, window us, …; `now` in us. `order` is kept for the case that others overtake it
-- for too long: see claim.lua.
local HOUR = 3600000000
local function join_line(waiting, permits, key, flight, step, order, windows, now)
  redis.call('ZADD', waiting, 'NX', string.format('%.0f', now), flight)
  if #windows > 0 and redis.call('EXISTS', key) == 1 then
    redis.call('HSET', key, 'order:' .. step, order)
  end
  local place = redis.call('ZRANK', waiting, flight)
  local wait = 0
  local lost = redis.call('HGET', 'consulta:permits', 'lost')
  for index = 1, #windows, 2 do
    local limit, window = tonumber(windows[index]), tonumber(windows[index + 1])
    local since = string.format('(%.0f', now - window)
    local ahead = redis.call('ZCOUNT', permits, since, '+inf') + place
    if ahead >= limit then
      -- The permits in use come free one by one, then again a window later.
      local rounds = math.floor((ahead - limit) / limit)
      local slot = redis.call('ZRANGEBYSCORE', permits, since, '+inf', 'WITHSCORES',
        'LIMIT', (ahead - limit) % limit, 1)
      local free = slot[2] and math.min(tonumber(slot[2]), now) or now
      wait = math.max(wait, free + window * (rounds + 1) - now)
    end
    if lost then wait = math.max(wait, lost + math.min(window, HOUR) - now) end
  end
  return wait
end
