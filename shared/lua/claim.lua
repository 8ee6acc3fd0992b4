-- Ask whether this order may be carried out.
-- KEYS: flight, waiting, active   ARGV: step, order, flight id
-- Returns {verdict, deadline ms, priority}; verdict is one of
--   go      do it (also when this very order began before and its process died)
--   repeat  this order was carried out, but perhaps not told: tell again
--   drop    another order has it or had it, or the flight has ended
local key, waiting, active = KEYS[1], KEYS[2], KEYS[3]
local step, order, flight = ARGV[1], ARGV[2], ARGV[3]
local holder = redis.call('HGET', key, 'claim:' .. step)
local verdict
if redis.call('EXISTS', key) == 0 or redis.call('HEXISTS', key, 'ended') == 1 then
  verdict = 'drop'
elseif redis.call('HEXISTS', key, 'seq:' .. step) == 1 then
  verdict = (holder == order) and 'repeat' or 'drop'
elseif holder and holder ~= order then
  -- Its message is still in the queue, unacknowledged, so this one may go.
  return {'drop', '0', '0'}
else
  verdict = 'go'
  redis.call('HSET', key, 'claim:' .. step, order)
  redis.call('ZADD', active, redis.call('HGET', key, 'deadline'), flight)
end
redis.call('ZREM', waiting, flight)
return {verdict, redis.call('HGET', key, 'deadline') or '0', redis.call('HGET', key, 'priority') or '0'}
