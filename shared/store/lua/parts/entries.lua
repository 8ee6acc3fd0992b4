-- Entries of a subject under the version of this moment, and its key in the index.
local function keep_entries(kind, digest, lifetime, fields)
  local version = redis.call('GET', 'consulta:version') or '1'
  local member = kind .. ':' .. digest
  local key, index = 'consulta:v' .. version .. ':' .. member, 'consulta:cache:keys:' .. version
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local expiry = string.format('%.0f', now + lifetime * 1000)
  redis.call('HSET', key, unpack(fields))
  redis.call('PEXPIREAT', key, expiry)
  redis.call('ZADD', index, expiry, member)
  -- What is written last expires last.
  redis.call('PEXPIREAT', index, expiry)
  redis.call('ZREMRANGEBYSCORE', index, '-inf', string.format('(%.0f', now))
end
