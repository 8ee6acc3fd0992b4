-- KEYS: version   ARGV: kind, digest
-- Returns {ms until its key expires (below 0: it does not, or is not there), the subject's hash, flat}.
local version = redis.call('GET', KEYS[1]) or '1'
local key = 'consulta:v' .. version .. ':' .. ARGV[1] .. ':' .. ARGV[2]
return {redis.call('PTTL', key), redis.call('HGETALL', key)}
