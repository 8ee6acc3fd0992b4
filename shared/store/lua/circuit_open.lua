-- A replica found out that a provider must not be called for a while: so must the others not.
-- KEYS: circuit   ARGV: now ms (0: Redis' own clock), ms, openings so far, cause,
--       the probe that found out ('' if none did)
local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local length, openings, cause, probe = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4], ARGV[5]
local known = redis.call('HMGET', KEYS[1], 'state', 'open_until', 'openings', 'probe_id')
if known[4] == probe then redis.call('HDEL', KEYS[1], 'probe_id', 'probe_until') end
if known[1] == 'open' then openings = math.max(openings, tonumber(known[3] or 0)) end
redis.call('HSET', KEYS[1], 'state', 'open', 'openings', openings)
if known[1] ~= 'open' or tonumber(known[2] or 0) < now + length then
  redis.call('HSET', KEYS[1], 'open_until', string.format('%.0f', now + length), 'cause', cause)
end
