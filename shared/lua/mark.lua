-- Note that a provider which bills is about to be called for a flight that somebody waits for.
-- KEYS: flight   ARGV: field, mark (of this call alone)
-- Returns 1 if it is noted by this mark, be it before, by an answer that got lost; else 0.
if redis.call('EXISTS', KEYS[1]) == 0 or redis.call('HEXISTS', KEYS[1], 'ended') == 1 then return 0 end
redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2])
return redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] and 1 or 0
