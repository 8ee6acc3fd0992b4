-- Join the line before a limited queue, and tell when the turn comes at the earliest.
-- parts: line
-- KEYS: waiting, permits, flight, birth (see acquire.lua)
-- ARGV: now us (0: Redis' own clock), flight id, step, order, limit, window us, …
-- Returns how long (us) until its permit comes free; 0 for at once.
local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
return join_line(KEYS[1], KEYS[2], KEYS[3], ARGV[2], ARGV[3], ARGV[4], {unpack(ARGV, 5)}, now)
