-- Give a lookup its flight: the one of the same subject that is under way, or a new one.
-- KEYS: lookup, pointer (subject -> flight)
-- ARGV: task, new flight, origin, kind, digest, wanted, left, deadline ms, lifetime s, priority,
--       first event
-- Returns {verdict, flight, priority of the flight before}; verdict is one of
--   leads (new flight), joins (somebody else's), again (planned before), ended (nothing to do),
--   other (the task_id is that of a lookup of another subject).
local lookup, pointer = KEYS[1], KEYS[2]
local task, fresh, origin, kind, digest, wanted, left, deadline, lifetime, priority, started =
  unpack(ARGV)

local function prolong(key, seconds)
  if redis.call('TTL', key) < tonumber(seconds) then redis.call('EXPIRE', key, seconds) end
end

redis.call('ZREM', 'consulta:scheduled', task)
redis.call('HDEL', lookup, 'request')
local known = redis.call('HGET', lookup, 'digest')
if known and known ~= digest then return {'other', '', 0} end
if redis.call('HEXISTS', lookup, 'ended') == 1 then return {'ended', '', 0} end
local flight = redis.call('HGET', lookup, 'flight')
if flight then
  -- Whoever asks again is told from now on: the process that asked before may be gone.
  local askers = 'consulta:flight:' .. flight .. ':askers'
  redis.call('HSET', lookup, 'origin', origin)
  if redis.call('HEXISTS', askers, task) == 1 then redis.call('HSET', askers, task, origin) end
  return {'again', flight, tonumber(redis.call('HGET', 'consulta:flight:' .. flight, 'priority') or 0)}
end

flight = redis.call('GET', pointer)
local verdict, before = 'joins', 0
local key = flight and ('consulta:flight:' .. flight)
if not flight or redis.call('EXISTS', key) == 0 or redis.call('HEXISTS', key, 'ended') == 1 then
  verdict, flight = 'leads', fresh
  key = 'consulta:flight:' .. flight
  redis.call('HSET', key, 'kind', kind, 'digest', digest, 'wanted', wanted, 'left', left,
    'deadline', deadline, 'priority', priority, 'pointer', pointer)
  redis.call('RPUSH', key .. ':log', started)
  redis.call('SET', pointer, flight, 'EX', lifetime)
else
  before = tonumber(redis.call('HGET', key, 'priority'))
  if tonumber(priority) > before then redis.call('HSET', key, 'priority', priority) end
  if tonumber(deadline) > tonumber(redis.call('HGET', key, 'deadline')) then
    redis.call('HSET', key, 'deadline', deadline)
  end
end
redis.call('ZADD', 'consulta:deadlines', deadline / 1000, task)
redis.call('HSET', key .. ':askers', task, origin)
redis.call('HSET', lookup, 'flight', flight, 'origin', origin, 'kind', kind, 'digest', digest,
  'deadline', deadline)
for _, name in ipairs({lookup, pointer, key, key .. ':log', key .. ':askers'}) do
  prolong(name, lifetime)
end
return {verdict, flight, before}
