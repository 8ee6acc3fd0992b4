-- Note once that a provider which bills is about to be called for a flight that somebody waits for.
-- KEYS: flight   ARGV: field   Returns 1 if it is noted now.
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
return redis.call('HSETNX', KEYS[1], ARGV[1], 1)
