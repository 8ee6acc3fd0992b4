-- Have an order at hand no longer: whoever it comes to next may resume it.
-- KEYS: flight   ARGV: step, order, instance
local key, step, order, instance = KEYS[1], unpack(ARGV)
local claim, claimant = unpack(redis.call('HMGET', key, 'claim:' .. step, 'by:' .. step))
if claim == order and claimant == instance then
  redis.call('HDEL', key, 'by:' .. step)
  -- Should it not come again, another order may have its claim in a while: see claim.lua.
  redis.call('HSET', key, 'freed:' .. step, redis.call('TIME')[1])
end
