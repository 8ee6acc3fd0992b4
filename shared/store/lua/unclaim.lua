-- Give back an order that has to wait: others may carry it out meanwhile, and it comes back later.
-- KEYS: flight, waiting, active
-- ARGV: step, order, flight id, comes back in us, the order it comes back as, that one's body
-- Returns 1, or 0 if there is nothing to come back for: another process took the order up, or the
-- flight has ended.
local key, waiting, active = unpack(KEYS)
local step, order, flight, back, again, body = unpack(ARGV)
if redis.call('HGET', key, 'claim:' .. step) ~= order then return 0 end
redis.call('ZREM', active, flight)
if redis.call('HEXISTS', key, 'ended') == 1 then return 0 end
redis.call('HDEL', key, 'claim:' .. step, 'by:' .. step)
-- Its place in the line is the one it comes back to: until then nobody overtakes it, and nobody
-- waits behind it.
local time = redis.call('TIME')
local at = time[1] * 1000000 + time[2] + back
redis.call('ZADD', waiting, string.format('%.0f', at), flight)
-- Should the delay queues lose it, it is sent again: see astray.lua.
local due = math.floor(at / 1000)
redis.call('ZADD', 'consulta:put_off', due, step .. ':' .. flight)
redis.call('HDEL', key, 'sent:' .. step)
-- What it comes back as, and what it has found out so far: whoever has the step next, be it by another
-- order, goes on from there.
redis.call('HSET', key, 'order:' .. step, body, 'tried:' .. step, body,
  'last:' .. step, order, 'next:' .. step, again, 'due:' .. step, due)
return 1
