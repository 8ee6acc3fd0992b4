-- Write down how a run ended, unless a later one has begun.
-- KEYS: job   ARGV: claimant, now, outcome, result
if redis.call('HGET', KEYS[1], 'claimant') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'finished', ARGV[2], 'outcome', ARGV[3], 'result', ARGV[4])
return 1
