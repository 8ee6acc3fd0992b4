-- Note that a provider which bills is about to be called for a flight that somebody waits for: one
-- that has not ended, and whose time is not up.
-- KEYS: flight   ARGV: field, mark (of this call alone)
-- Returns 1 if it is noted by this mark, be it before, by an answer that got lost; else 0.
local ended, deadline = unpack(redis.call('HMGET', KEYS[1], 'ended', 'deadline'))
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if ended or now >= tonumber(deadline or 0) then return 0 end
redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2])
return redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] and 1 or 0
