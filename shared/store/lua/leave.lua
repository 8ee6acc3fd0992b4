-- Take one asker out of its flight, so that it can end while the others fly on.
-- parts: subject
-- KEYS: lookup, deadlines
-- ARGV: now ms (0: Redis' own clock), task, new flight, lifetime s, the event it is to end with ('':
--   with what there is)
-- Returns {verdict, flight, event it is to end with}. A verdict is one of
--   unknown
--   ended   how it ended stands in place of the flight
--   alone   the flight has this asker only
--   parted  so has this copy of its flight, with its history. Whoever wrote a part of that and has
--           still to tell it finds this asker there no more, so it is to be told all of it
--   again   it was taken out of this flight before and has ended, but perhaps nobody was told
--
-- Whoever takes it out may die, or meet an outage, before it has written and told the end: `settled` in
-- Lookups. So its deadline is soon, and whoever sweeps ends it as it was to end.
-- A write that frees comes first: with the memory full, Redis then lets the others pass.
redis.call('ZREM', KEYS[2], '')
local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local lookup = KEYS[1]
local _, task, fresh, lifetime, last = unpack(ARGV)
local ended = redis.call('HGET', lookup, 'ended')
if ended and redis.call('HEXISTS', lookup, 'alone') == 1 then
  return {'again', redis.call('HGET', lookup, 'flight'), ''}
end
if ended or redis.call('EXISTS', lookup) == 0 then
  redis.call('ZREM', KEYS[2], task)
  return {ended and 'ended' or 'unknown', ended or '', ''}
end
redis.call('ZREM', 'consulta:scheduled', task)
redis.call('HSET', lookup, 'alone', 1)
-- The first that was said holds.
if last ~= '' then redis.call('HSETNX', lookup, 'last', last) end
last = redis.call('HGET', lookup, 'last') or ''
redis.call('ZADD', KEYS[2], 'XX', 'LT', now / 1000 + 3, task)
redis.call('HDEL', lookup, 'request')

local flight = redis.call('HGET', lookup, 'flight')
local key, copy = 'consulta:flight:' .. (flight or ''), 'consulta:flight:' .. fresh
local verdict = 'alone'
-- One whose flight was lost is ended like one that has none.
if redis.call('EXISTS', key) == 0 then
  -- Not planned yet: it gets a flight nobody works on, for its last event to stand in.
  local about = redis.call('HMGET', lookup, 'kind', 'digest', 'origin', 'deadline', 'keep', 'listeners')
  redis.call('HSET', copy, 'kind', about[1] or '', 'digest', about[2] or '', 'wanted', '',
    'left', 0, 'deadline', 0, 'priority', 0)
  redis.call('HSET', copy .. ':askers', task, (about[3] or '') .. (about[6] and ' ' .. about[6] or ''))
  -- Its message may be on its way until then, and has to find that all is over.
  local left = math.max(0, math.ceil((tonumber(about[4] or now) - now) / 1000))
  redis.call('HSET', lookup, 'keep', math.max(tonumber(about[5] or 0), left + lifetime))
elseif redis.call('HLEN', key .. ':askers') > 1 then
  verdict = 'parted'
  redis.call('COPY', key, copy)
  redis.call('COPY', key .. ':log', copy .. ':log')
  redis.call('HDEL', copy, 'pointer', 'unsent')
  redis.call('HSET', copy, 'parted', flight)
  redis.call('HSET', copy .. ':askers', task, redis.call('HGET', key .. ':askers', task))
  redis.call('HDEL', key .. ':askers', task)
else
  take_off(key, flight)
  -- Whoever took it out of another before did not come to end it.
  if redis.call('HEXISTS', key, 'parted') == 1 then verdict = 'parted' end
  return {verdict, flight, last}
end
redis.call('HSET', lookup, 'flight', fresh)
for _, name in ipairs({copy, copy .. ':log', copy .. ':askers'}) do
  redis.call('EXPIRE', name, lifetime)
end
return {verdict, fresh, last}
