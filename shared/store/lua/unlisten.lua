-- A gateway has no client for a lookup any more.
-- parts: listeners
-- KEYS: lookup   ARGV: the gateway
local ended, known = unpack(redis.call('HMGET', KEYS[1], 'ended', 'listeners'))
if ended or not known then return end
local listeners = {}
for each in string.gmatch(known, '%S+') do
  if each ~= ARGV[1] then listeners[#listeners + 1] = each end
end
set_listeners(KEYS[1], listeners)
