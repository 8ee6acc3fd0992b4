-- Write down a lookup that was accepted but not yet planned. Returns 1, or 0 if it was known.
-- KEYS: lookup   ARGV: lifetime s, then field value …
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
redis.call('EXPIRE', KEYS[1], ARGV[1])
return 1
