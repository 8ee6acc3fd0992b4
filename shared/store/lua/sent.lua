-- The orders of a flight are on the bus: nobody need send them again for this lookup.
-- KEYS: lookup, flight, scheduled   ARGV: task
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('HDEL', KEYS[1], 'request')
redis.call('HDEL', KEYS[2], 'unsent')
