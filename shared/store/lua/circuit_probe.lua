-- A replica's open time is over: may it make the one call that tries the provider?
-- KEYS: circuit   ARGV: now ms (0: Redis' own clock), probe id, lease ms
-- Returns {verdict, ms, openings, cause}; verdict is one of
--   closed    another replica's probe went well, no probe is needed
--   open      not yet, another replica has reason to wait longer
--   probing   another replica has the lease
--   granted   yes, for the length of the lease
local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local known = redis.call('HMGET', KEYS[1], 'state', 'open_until', 'openings', 'cause', 'probe_id',
  'probe_until')
local function answer(verdict, left)
  return {verdict, left, tonumber(known[3] or 0), known[4] or ''}
end
if known[1] == 'closed' then return answer('closed', 0) end
local open = tonumber(known[2] or 0) - now
if open > 0 then return answer('open', open) end
local probing = tonumber(known[6] or 0) - now
if probing > 0 and known[5] ~= ARGV[2] then return answer('probing', probing) end
redis.call('HSET', KEYS[1], 'state', 'open', 'probe_id', ARGV[2],
  'probe_until', string.format('%.0f', now + tonumber(ARGV[3])))
return answer('granted', 0)
