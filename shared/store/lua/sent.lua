-- The orders of a flight are on the bus, and what whoever sent them wrote down is told: nobody need do
-- either for this lookup.
-- KEYS: lookup, flight, scheduled, untold   ARGV: task, item of untold
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('ZREM', KEYS[4], ARGV[2])
redis.call('HDEL', KEYS[1], 'request')
redis.call('HDEL', KEYS[2], 'unsent')
