-- Give a lookup its flight: the one of the same subject that is under way, or a new one. In the same
-- stroke the orders of a new one stand in line, and all is read that who plans has to know.
-- parts: line
-- KEYS: lookup, flights of the subject (version and what is asked -> flight)
-- ARGV: a plan in MessagePack (shared/store/record.py)
-- Returns {verdict, flight, priority of the flight before, ms, deadline ms, origin and listeners of the
-- asker, the subject's cache entries flat, the flight's log, waits (us) of the orders in their order,
-- 1 if the lookup was not known, 1 if nobody has said that the flight's orders are sent}. Of one that
-- was taken out of a flight, that is told, with the log of its own.
-- A verdict is one of
--   leads (new flight), joins (somebody else's), renews (joins, and what is to be done is ordered
--         again: by more urgent orders, or because the last ones are old and may have been lost),
--   again (planned before), ended (nothing to do),
--   other (the task_id is that of a lookup of another subject),
--   early (it starts in so many ms), late (its time was up before it began),
--   gone  (its time was up, and whoever accepted it saw to its end long ago)
local lookup, inflight = KEYS[1], KEYS[2]
local plan = cmsgpack.unpack(ARGV[1])
local task, kind, digest = plan.task, plan.kind, plan.digest
local time = redis.call('TIME')
local micros = time[1] * 1000000 + time[2]
local now = plan.now > 0 and plan.now or math.floor(micros / 1000)

local about = redis.call('HMGET', lookup, 'digest', 'ended', 'flight', 'deadline', 'listeners', 'alone')
local is_known = redis.call('EXISTS', lookup) == 1
local accepted = {}
for index = 1, #plan.accepted, 2 do accepted[plan.accepted[index]] = plan.accepted[index + 1] end
-- What was promised first holds, and no message can put it off further than a fresh one would.
local due = plan.due > 0 and plan.due or math.huge
local deadline = tonumber(about[4]) or math.min(due, now + plan.delay + plan.length)
local lifetime = math.ceil(math.max(0, deadline - now) / 1000) + plan.slack
deadline = string.format('%.0f', deadline)
local listeners = about[5] or (not is_known and accepted.listeners)
local asker = plan.origin .. (listeners and ' ' .. listeners or '')

local entries, events, waits, unsent = {}, {}, {}, 0
local function answer(verdict, flight, before, ms)
  return {verdict, flight or '', tonumber(before or 0), math.floor(ms or 0), deadline, asker,
    entries, events, waits, is_known and 0 or 1, unsent}
end
-- Whoever begins this lookup may die before what is to be done is on the bus, and before it has told
-- everybody aboard what it wrote down: then the request is sent, and all of it is told, by whoever
-- sweeps, once a living one would mostly have done so. One that came by the bus is delivered again.
local function look_after(flight, begins)
  local key = 'consulta:flight:' .. flight
  if begins and plan.request ~= '' then
    redis.call('HSET', key, 'unsent', 1)
    redis.call('ZADD', 'consulta:untold', now / 1000 + plan.patience, flight .. ' ' .. plan.flight)
  end
  unsent = redis.call('HEXISTS', key, 'unsent')
  if unsent == 1 and plan.request ~= '' then
    redis.call('HSET', lookup, 'request', plan.request)
    redis.call('ZADD', 'consulta:scheduled', now / 1000 + plan.patience, task)
  end
end
local function prolong(key)
  if redis.call('TTL', key) < lifetime then redis.call('EXPIRE', key, lifetime) end
end
local version = redis.call('GET', 'consulta:version') or '1'
local function read_entries()
  entries = redis.call('HGETALL', 'consulta:v' .. version .. ':' .. kind .. ':' .. digest)
end

if about[1] and about[1] ~= digest then return answer('other') end
if about[2] or about[3] then
  redis.call('ZREM', 'consulta:scheduled', task)
  redis.call('HDEL', lookup, 'request')
end
local flight = about[3]
-- One that was taken out of its flight is ended by whoever took it, or by whoever sweeps.
if about[2] or about[6] then
  if not flight then return answer('ended') end
  local key = 'consulta:flight:' .. flight
  events = redis.call('LRANGE', key .. ':log', 0, -1)
  return answer('ended', redis.call('HGET', key, 'parted') or flight)
end
if flight then
  -- Whoever asks again is told from now on: the process that asked before may be gone.
  local key = 'consulta:flight:' .. flight
  redis.call('HSET', lookup, 'origin', plan.origin)
  if redis.call('HEXISTS', key .. ':askers', task) == 1 then
    redis.call('HSET', key .. ':askers', task, asker)
  end
  read_entries()
  events = redis.call('LRANGE', key .. ':log', 0, -1)
  look_after(flight, true)
  return answer('again', flight, redis.call('HGET', key, 'priority'))
end
local is_late = deadline - now <= 0
if is_late and not is_known and plan.tenant ~= '' then return answer('gone') end
redis.call('HSET', lookup, 'origin', plan.origin, 'kind', kind, 'digest', digest,
  'deadline', deadline)
if plan.tenant ~= '' then redis.call('HSET', lookup, 'tenant', plan.tenant) end
if not is_known and #plan.accepted > 0 then
  redis.call('HSET', lookup, unpack(plan.accepted))
  if accepted.slots then
    redis.call('ZADD', accepted.slots, deadline / 1000, task)
    local left = math.ceil((deadline - now) / 1000) + 60
    if redis.call('TTL', accepted.slots) < left then
      redis.call('EXPIRE', accepted.slots, left)
    end
  end
end
prolong(lookup)
redis.call('ZADD', 'consulta:deadlines', deadline / 1000, task)
if is_late then return answer('late') end
local wait = deadline - plan.length - now
if wait > 0 then
  if plan.request ~= '' then
    redis.call('HSET', lookup, 'request', plan.request)
    redis.call('ZADD', 'consulta:scheduled', (now + wait) / 1000, task)
  end
  return answer('early', '', 0, wait)
end
redis.call('ZREM', 'consulta:scheduled', task)
redis.call('HDEL', lookup, 'request')

-- What was begun before the version was raised is answered by what was valid before.
local pointer = version .. ':' .. plan.asks
flight = redis.call('HGET', inflight, pointer)
local verdict, before = 'joins', 0
local key = flight and ('consulta:flight:' .. flight)
-- Where there was too little time for a stage, one that has at least twice as much does not take what
-- came of that; less would have each asker begin anew while a provider takes no calls.
local short = flight and tonumber(redis.call('HGET', key, 'short') or math.huge)
if not flight or redis.call('EXISTS', key) == 0 or redis.call('HEXISTS', key, 'ended') == 1
  or deadline - now >= 2 * short then
  verdict, flight = 'leads', plan.flight
  key = 'consulta:flight:' .. flight
  redis.call('HSET', key, 'kind', kind, 'digest', digest, 'wanted', plan.wanted, 'left', plan.left,
    'deadline', deadline, 'priority', plan.priority, 'pointer', pointer, 'ordered', now)
  redis.call('RPUSH', key .. ':log', plan.started)
  redis.call('HSET', inflight, pointer, flight)
  read_entries()
  for index, place in ipairs(plan.orders) do
    waits[index] = join_line(place.waiting, place.permits, key, flight, place.step, place.order,
      place.windows, micros)
  end
else
  before = tonumber(redis.call('HGET', key, 'priority'))
  local age = now - tonumber(redis.call('HGET', key, 'ordered') or 0)
  -- By the bus nobody comes again once this is acknowledged: so what nobody has sent is sent now.
  local is_unsent = plan.request == '' and redis.call('HEXISTS', key, 'unsent') == 1
  if plan.priority > before or age >= plan.renew or is_unsent then
    verdict = 'renews'
    redis.call('HSET', key, 'priority', math.max(plan.priority, before), 'ordered', now)
    read_entries()
  end
  if tonumber(deadline) > tonumber(redis.call('HGET', key, 'deadline')) then
    redis.call('HSET', key, 'deadline', deadline)
  end
  events = redis.call('LRANGE', key .. ':log', 0, -1)
end
look_after(flight, verdict ~= 'joins')
redis.call('HSET', key .. ':askers', task, asker)
redis.call('HSET', lookup, 'flight', flight)
for _, name in ipairs({inflight, key, key .. ':log', key .. ':askers'}) do prolong(name) end
return answer(verdict, flight, before, deadline - now)
