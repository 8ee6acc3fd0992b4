-- A call is over: its permit counts from this moment on, for the length of the window. For `margin`
-- us, but not beyond the permit's lease, the call may still be on its way to the provider; until then
-- it counts as out. Returns 0 for a permit that is not there.
local function settle_permit(key, id, margin, now)
  local till = redis.call('ZSCORE', key, id)
  if not till then return 0 end
  local over = math.max(now, math.min(now + margin, tonumber(till)))
  return redis.call('ZADD', key, 'XX', string.format('%.0f', over), id)
end
