-- A probe is over: its lease is free, and if it went well, so is the provider.
-- KEYS: circuit   ARGV: now ms (0: Redis' own clock), probe id, went well (0|1)
-- A lease that ran out and went to another replica is that one's, and so is the verdict.
if redis.call('HGET', KEYS[1], 'probe_id') ~= ARGV[2] then return 0 end
redis.call('HDEL', KEYS[1], 'probe_id', 'probe_until')
if ARGV[3] == '0' then return 1 end
local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
-- Opened anew since the probe began, by a provider that asked another replica for a pause, say.
if tonumber(redis.call('HGET', KEYS[1], 'open_until') or 0) > now then return 1 end
redis.call('HSET', KEYS[1], 'state', 'closed', 'openings', 0, 'cause', '')
redis.call('HDEL', KEYS[1], 'open_until')
return 1
