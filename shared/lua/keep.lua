-- Write down a lookup that was answered whole: its flight has ended already.
-- KEYS: lookup, flight   ARGV: flight id, origin, kind, wanted, lifetime s, tenant, event, …
local flight, origin, kind, wanted, lifetime, tenant = unpack(ARGV)
redis.call('HSET', KEYS[1], 'origin', origin, 'kind', kind, 'tenant', tenant, 'flight', flight,
  'ended', 'completo')
redis.call('HSET', KEYS[2], 'kind', kind, 'wanted', wanted, 'ended', 'completo')
redis.call('RPUSH', KEYS[2] .. ':log', unpack(ARGV, 7))
for _, key in ipairs({KEYS[1], KEYS[2], KEYS[2] .. ':log'}) do
  redis.call('EXPIRE', key, lifetime)
end
