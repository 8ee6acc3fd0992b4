-- KEYS: version, counters   Returns {subjects of this version, hits, misses}.
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local version = redis.call('GET', KEYS[1]) or '1'
local counters = redis.call('HMGET', KEYS[2], 'hits', 'misses')
return {redis.call('ZCOUNT', 'consulta:cache:keys:' .. version, now, '+inf'),
  counters[1] or '0', counters[2] or '0'}
