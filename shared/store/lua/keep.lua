-- Write down a lookup that was answered whole: its flight has ended already.
-- KEYS: lookup, flight, deadlines
-- ARGV: task, flight id, origin, kind, wanted, lifetime s, tenant, event, …
-- Returns 1, or 0 where the lookup has a life of its own: under an Idempotency-Key, the first try
-- may have begun it.
local task, flight, origin, kind, wanted, lifetime, tenant = unpack(ARGV)
if redis.call('HEXISTS', KEYS[1], 'flight') == 1 or redis.call('HEXISTS', KEYS[1], 'ended') == 1
then return 0 end
local slots = redis.call('HGET', KEYS[1], 'slots')
if slots then redis.call('ZREM', slots, task) end
redis.call('ZREM', KEYS[3], task)
redis.call('HSET', KEYS[1], 'origin', origin, 'kind', kind, 'tenant', tenant, 'flight', flight,
  'ended', 'completo')
redis.call('HSET', KEYS[2], 'kind', kind, 'wanted', wanted, 'ended', 'completo')
redis.call('RPUSH', KEYS[2] .. ':log', unpack(ARGV, 8))
for _, key in ipairs({KEYS[1], KEYS[2], KEYS[2] .. ':log'}) do
  redis.call('EXPIRE', key, lifetime)
end
return 1
