-- Claim one slot of a periodic job.
-- KEYS: job   ARGV: slot, now, lease (all seconds)
-- Returns {1 if claimed, the slot claimed before (0: none), 1 if that run never ended}.
local slot, now, lease = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local before = tonumber(redis.call('HGET', KEYS[1], 'slot') or '0')
if slot <= before then return {0, '0', 0} end
local started = tonumber(redis.call('HGET', KEYS[1], 'started') or '0')
local finished = redis.call('HEXISTS', KEYS[1], 'finished')
-- A run may outlast its slot; the next one waits for its own turn.
if started > 0 and finished == 0 and now < started + lease then return {0, '0', 0} end
redis.call('HSET', KEYS[1], 'slot', ARGV[1], 'started', ARGV[2])
redis.call('HDEL', KEYS[1], 'finished', 'outcome')
return {1, tostring(before), (started > 0 and finished == 0) and 1 or 0}
