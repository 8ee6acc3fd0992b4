-- A call is over.
-- parts: settle
-- KEYS: permits   ARGV: now us (0: Redis' own clock), permit id, margin us (see parts/settle.lua)
local now, id, margin = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
return settle_permit(KEYS[1], id, margin, now)
