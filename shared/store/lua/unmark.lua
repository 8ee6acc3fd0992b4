-- Take back that a provider which bills was called, if this call noted it.
-- KEYS: flight   ARGV: field, mark
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then redis.call('HDEL', KEYS[1], ARGV[1]) end
