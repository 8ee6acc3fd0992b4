-- Write down how a slot's run ended, unless a later slot has begun.
-- KEYS: job   ARGV: slot, now, outcome, result
if redis.call('HGET', KEYS[1], 'slot') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'finished', ARGV[2], 'outcome', ARGV[3], 'result', ARGV[4])
return 1
