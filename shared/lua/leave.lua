-- Take one asker out of its flight, so that it can end while the others fly on.
-- KEYS: lookup   ARGV: task, new flight, lifetime s
-- Returns {verdict, flight}: unknown, ended (how it ended in place of the flight), or alone, with
-- the flight that now has this asker only: the same one, or a copy with its history; or again, with
-- that flight: it was taken out before and has ended, but perhaps nobody was told.
local lookup = KEYS[1]
local task, fresh, lifetime = unpack(ARGV)
redis.call('ZREM', 'consulta:deadlines', task)
if redis.call('EXISTS', lookup) == 0 then return {'unknown', ''} end
local ended = redis.call('HGET', lookup, 'ended')
if ended then
  if redis.call('HEXISTS', lookup, 'alone') == 0 then return {'ended', ended} end
  return {'again', redis.call('HGET', lookup, 'flight')}
end
redis.call('HSET', lookup, 'alone', 1)

local flight = redis.call('HGET', lookup, 'flight')
local copy = 'consulta:flight:' .. fresh
if not flight then
  redis.call('ZREM', 'consulta:scheduled', task)
  -- Not planned yet: it gets a flight nobody works on, for its last event to stand in.
  local about = redis.call('HMGET', lookup, 'kind', 'digest', 'origin')
  redis.call('HSET', copy, 'kind', about[1] or '', 'digest', about[2] or '', 'wanted', '',
    'left', 0, 'deadline', 0, 'priority', 0)
  redis.call('HSET', copy .. ':askers', task, about[3] or '')
elseif redis.call('HLEN', 'consulta:flight:' .. flight .. ':askers') > 1 then
  local key = 'consulta:flight:' .. flight
  redis.call('COPY', key, copy)
  redis.call('COPY', key .. ':log', copy .. ':log')
  redis.call('HDEL', copy, 'pointer')
  redis.call('HSET', copy .. ':askers', task, redis.call('HGET', key .. ':askers', task))
  redis.call('HDEL', key .. ':askers', task)
else
  -- The last one: whoever asks for the same from now on gets a flight of its own.
  local pointer = redis.call('HGET', 'consulta:flight:' .. flight, 'pointer')
  if pointer and redis.call('GET', pointer) == flight then redis.call('DEL', pointer) end
  return {'alone', flight}
end
redis.call('HSET', lookup, 'flight', fresh)
for _, name in ipairs({copy, copy .. ':log', copy .. ':askers'}) do
  redis.call('EXPIRE', name, lifetime)
end
return {'alone', fresh}
