-- KEYS: version   ARGV: kind, digest   Returns: the subject's hash, flat, of this version.
local version = redis.call('GET', KEYS[1]) or '1'
return redis.call('HGETALL', 'consulta:v' .. version .. ':' .. ARGV[1] .. ':' .. ARGV[2])
