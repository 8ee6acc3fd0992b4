-- Read a lookup: its own hash, its flight's hash, the log from a position on, and ms to its deadline.
-- parts: listeners
-- KEYS: lookup
-- ARGV: now ms (0: Redis' own clock), events already seen, a gateway that has a client for it from now
--       on ('' for none)
local now, seen, listener = tonumber(ARGV[1]), ARGV[2], ARGV[3]
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local lookup = redis.call('HGETALL', KEYS[1])
local about = redis.call('HMGET', KEYS[1], 'flight', 'deadline', 'ended', 'listeners')
if listener ~= '' and #lookup > 0 and not about[3] then
  local listeners, known = {}, false
  for each in string.gmatch(about[4] or '', '%S+') do
    listeners[#listeners + 1], known = each, known or each == listener
  end
  if not known then
    -- Some may have gone without a word.
    if #listeners > 7 then table.remove(listeners, 1) end
    listeners[#listeners + 1] = listener
    set_listeners(KEYS[1], listeners)
  end
end
-- One that a version without deadlines accepted has an hour from whenever it is looked at.
local left = tonumber(about[2] or now + 3600000) - now
if not about[1] then return {lookup, {}, {}, left} end
local key = 'consulta:flight:' .. about[1]
return {lookup, redis.call('HGETALL', key), redis.call('LRANGE', key .. ':log', seen, -1), left}
