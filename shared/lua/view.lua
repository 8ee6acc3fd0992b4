-- Read a lookup: its own hash, its flight's hash, and the log from a position on.
-- KEYS: lookup   ARGV: events already seen
local lookup = redis.call('HGETALL', KEYS[1])
local flight = redis.call('HGET', KEYS[1], 'flight')
if not flight then return {lookup, {}, {}} end
local key = 'consulta:flight:' .. flight
return {lookup, redis.call('HGETALL', key), redis.call('LRANGE', key .. ':log', ARGV[1], -1)}
