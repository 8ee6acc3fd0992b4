-- Write down what a hit's task_id stands for, so that it can be looked at again.
-- KEYS: hit   ARGV: lifetime s, field, value …
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
redis.call('EXPIRE', KEYS[1], ARGV[1])
