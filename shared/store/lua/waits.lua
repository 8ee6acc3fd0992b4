-- What a lookup asks for that has still to begin: one that was put off, or is aboard a flight whose
-- orders nobody has sent, as far as is known. Any other waits no more.
-- KEYS: lookup, scheduled   ARGV: task   Returns {its request, its deadline ms (0: none)},
-- or nothing.
local request, flight, ended, deadline =
  unpack(redis.call('HMGET', KEYS[1], 'request', 'flight', 'ended', 'deadline'))
if request and not ended
  and (not flight or redis.call('HEXISTS', 'consulta:flight:' .. flight, 'unsent') == 1) then
  return {request, deadline or '0'}
end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[1], 'request')
return false
