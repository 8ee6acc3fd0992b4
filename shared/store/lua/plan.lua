-- Give a lookup its flight: the one of the same subject that is under way, or a new one.
-- KEYS: lookup, pointer (subject -> flight)
-- ARGV: now ms (0: Redis' own clock), task, new flight, origin, tenant ('' if no gateway accepted
--       it), kind, digest, wanted, how many that are, deadline ms as the message says (0: it does
--       not), delay ms, ms from the start to the deadline, slack s, priority, ms after which orders
--       are made again, first event
-- Returns {verdict, flight, priority of the flight before, ms, deadline ms}; verdict is one of
--   leads (new flight), joins (somebody else's), renews (joins, and what is to be done is ordered
--         again: by more urgent orders, or because the last ones are old and may have been lost),
--   again (planned before), ended (nothing to do),
--   other (the task_id is that of a lookup of another subject),
--   early (it starts in so many ms), late (its time was up before it began),
--   gone  (its time was up, and whoever accepted it saw to its end long ago)
local lookup, pointer = KEYS[1], KEYS[2]
local now, task, fresh, origin, tenant, kind, digest, wanted, left, due, delay, length, slack,
  priority, renew, started = unpack(ARGV)
now, due, delay, length = tonumber(now), tonumber(due), tonumber(delay), tonumber(length)
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

local about = redis.call('HMGET', lookup, 'digest', 'ended', 'flight', 'deadline')
-- What was promised first holds, and no message can put it off further than a fresh one would.
local deadline = tonumber(about[4]) or math.min(due > 0 and due or math.huge, now + delay + length)
local lifetime = math.ceil(math.max(0, deadline - now) / 1000) + slack
deadline = string.format('%.0f', deadline)

local function answer(verdict, flight, before, ms)
  return {verdict, flight or '', tonumber(before or 0), math.floor(ms or 0), deadline}
end
local function prolong(key)
  if redis.call('TTL', key) < lifetime then redis.call('EXPIRE', key, lifetime) end
end

if about[1] and about[1] ~= digest then return answer('other') end
if about[2] or about[3] then
  redis.call('ZREM', 'consulta:scheduled', task)
  redis.call('HDEL', lookup, 'request')
end
if about[2] then return answer('ended') end
local flight = about[3]
if flight then
  -- Whoever asks again is told from now on: the process that asked before may be gone.
  local askers = 'consulta:flight:' .. flight .. ':askers'
  redis.call('HSET', lookup, 'origin', origin)
  if redis.call('HEXISTS', askers, task) == 1 then redis.call('HSET', askers, task, origin) end
  return answer('again', flight, redis.call('HGET', 'consulta:flight:' .. flight, 'priority'))
end
local is_known, is_late = redis.call('EXISTS', lookup) == 1, deadline - now <= 0
if is_late and not is_known and tenant ~= '' then return answer('gone') end
redis.call('HSET', lookup, 'origin', origin, 'kind', kind, 'digest', digest, 'deadline', deadline)
if tenant ~= '' then redis.call('HSET', lookup, 'tenant', tenant) end
prolong(lookup)
redis.call('ZADD', 'consulta:deadlines', deadline / 1000, task)
if is_late then return answer('late') end
local wait = deadline - length - now
if wait > 0 then return answer('early', '', 0, wait) end
redis.call('ZREM', 'consulta:scheduled', task)
redis.call('HDEL', lookup, 'request')

flight = redis.call('GET', pointer)
local verdict, before = 'joins', 0
local key = flight and ('consulta:flight:' .. flight)
if not flight or redis.call('EXISTS', key) == 0 or redis.call('HEXISTS', key, 'ended') == 1 then
  verdict, flight = 'leads', fresh
  key = 'consulta:flight:' .. flight
  redis.call('HSET', key, 'kind', kind, 'digest', digest, 'wanted', wanted, 'left', left,
    'deadline', deadline, 'priority', priority, 'pointer', pointer, 'ordered', now)
  redis.call('RPUSH', key .. ':log', started)
  redis.call('SET', pointer, flight, 'EX', lifetime)
else
  before = tonumber(redis.call('HGET', key, 'priority'))
  local age = now - tonumber(redis.call('HGET', key, 'ordered') or 0)
  if tonumber(priority) > before or age >= tonumber(renew) then
    verdict = 'renews'
    redis.call('HSET', key, 'priority', math.max(priority, before), 'ordered', now)
  end
  if tonumber(deadline) > tonumber(redis.call('HGET', key, 'deadline')) then
    redis.call('HSET', key, 'deadline', deadline)
  end
end
redis.call('HSET', key .. ':askers', task, origin)
redis.call('HSET', lookup, 'flight', flight)
for _, name in ipairs({pointer, key, key .. ':log', key .. ':askers'}) do prolong(name) end
return answer(verdict, flight, before, deadline - now)
