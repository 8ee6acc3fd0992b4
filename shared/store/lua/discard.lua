-- Have nobody work on a lookup: its message may arrive, but nobody was promised anything.
-- KEYS: lookup, deadlines, scheduled
-- ARGV: now ms (0: Redis' own clock), task, lifetime s
-- A write that frees comes first: with the memory full, Redis then lets the others pass.
redis.call('HDEL', KEYS[1], 'request')
local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local deadline = tonumber(redis.call('HGET', KEYS[1], 'deadline') or now)
redis.call('HSET', KEYS[1], 'ended', 'error', 'revoked', '1')
redis.call('ZREM', KEYS[2], ARGV[2])
redis.call('ZREM', KEYS[3], ARGV[2])
-- As long as the message may be on its way, which with a delay is days.
redis.call('EXPIRE', KEYS[1], ARGV[3] + math.max(0, math.ceil((deadline - now) / 1000)))
