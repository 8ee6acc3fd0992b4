-- Note that a lookup waits for its time, and what it asks for; unless it has begun or ended meanwhile.
-- KEYS: lookup, scheduled   ARGV: task, start (s), request
if redis.call('EXISTS', KEYS[1]) == 0 or redis.call('HEXISTS', KEYS[1], 'ended') == 1
  or redis.call('HEXISTS', KEYS[1], 'flight') == 1
then return 0 end
redis.call('HSET', KEYS[1], 'request', ARGV[3])
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
return 1
