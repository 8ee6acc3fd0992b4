-- Write entries of a subject under the version of this moment, and list its key in the index.
-- KEYS: version   ARGV: kind, digest, lifetime s, field, entry, …
local version = redis.call('GET', KEYS[1]) or '1'
local member = ARGV[1] .. ':' .. ARGV[2]
local key, index = 'consulta:v' .. version .. ':' .. member, 'consulta:cache:keys:' .. version
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local expiry = string.format('%.0f', now + ARGV[3] * 1000)
redis.call('HSET', key, unpack(ARGV, 4))
redis.call('PEXPIREAT', key, expiry)
redis.call('ZADD', index, expiry, member)
-- What is written last expires last.
redis.call('PEXPIREAT', index, expiry)
redis.call('ZREMRANGEBYSCORE', index, '-inf', string.format('(%.0f', now))
