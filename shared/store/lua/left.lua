-- How long (ms) a flight has left; 0 if its time is up or there is no such flight.
-- KEYS: flight
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return math.max(0, tonumber(redis.call('HGET', KEYS[1], 'deadline') or 0) - now)
