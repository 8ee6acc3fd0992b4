-- Give back the slot of a lookup that did not come about.
-- KEYS: slots, lookup   ARGV: task
if redis.call('EXISTS', KEYS[2]) == 0 then redis.call('ZREM', KEYS[1], ARGV[1]) end
