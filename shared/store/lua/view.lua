-- Read a lookup: its own hash, its flight's hash, the log from a position on, and ms to its deadline.
-- KEYS: lookup   ARGV: now ms (0: Redis' own clock), events already seen
local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local lookup = redis.call('HGETALL', KEYS[1])
local about = redis.call('HMGET', KEYS[1], 'flight', 'deadline')
-- One that a version without deadlines accepted has an hour from whenever it is looked at.
local left = tonumber(about[2] or now + 3600000) - now
if not about[1] then return {lookup, {}, {}, left} end
local key = 'consulta:flight:' .. about[1]
return {lookup, redis.call('HGETALL', key), redis.call('LRANGE', key .. ':log', ARGV[2], -1), left}
