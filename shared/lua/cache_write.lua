-- KEYS: version   ARGV: kind, digest, lifetime s, field, entry, …
local version = redis.call('GET', KEYS[1]) or '1'
local key = 'consulta:v' .. version .. ':' .. ARGV[1] .. ':' .. ARGV[2]
redis.call('HSET', key, unpack(ARGV, 4))
redis.call('EXPIRE', key, ARGV[3])
