-- Take orders that were put off and have not come back in time, and leave each for later.
-- KEYS: put off
-- ARGV: now ms (0: Redis' own clock), late by so long (ms), look again after (ms) at the earliest,
--       how many, what to name the copies by
-- Returns {step, the order it is to be sent as, its body, …}
--
-- One that is late may be lost, or wait in a long queue: each time it is left for as long again, so
-- that even there the copies are few. Of those one may be carried out, whichever: see claim.lua.
-- A write that frees comes first: with the memory full, Redis then lets the others pass.
redis.call('ZREM', KEYS[1], '')
local now, late, again = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local found = {}
for _, entry in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - late, 'LIMIT', 0, ARGV[4])) do
  local step, flight = string.match(entry, '^(%a+):(.*)$')
  local key = 'consulta:flight:' .. flight
  local order, name, due, sent =
    unpack(redis.call('HMGET', key, 'order:' .. step, 'next:' .. step, 'due:' .. step, 'sent:' .. step))
  if order and name then
    if not sent then
      sent = string.match(name, '^[^.]*') .. '.' .. ARGV[5]
      redis.call('HSET', key, 'sent:' .. step, sent)
    end
    due = tonumber(due)
    local copy = sent .. '-' .. string.format('%.0f', now - due)
    redis.call('ZADD', KEYS[1], now - late + math.max(again, now - due), entry)
    for _, value in ipairs({step, copy, order}) do found[#found + 1] = value end
  else
    redis.call('ZREM', KEYS[1], entry)
  end
end
return found
