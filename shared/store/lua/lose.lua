-- Put a stone where a lookup's state was lost: whoever asks is told, and nobody works on it.
-- KEYS: lookup   ARGV: lifetime s, field, value …   Returns 1, or 0 if the lookup is there.
-- A write that frees comes first: with the memory full, Redis then lets the others pass.
redis.call('HDEL', KEYS[1], '')
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], 'ended', 'error', unpack(ARGV, 2))
redis.call('EXPIRE', KEYS[1], ARGV[1])
return 1
