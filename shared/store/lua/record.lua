-- Write down what became of steps, and in the same stroke all that follows from it: the answer's place
-- in the cache, the settlement of the permit it was asked under, the place in line of what comes next.
-- parts: entries, settle, line, subject
-- KEYS: flight
-- ARGV: a record in MessagePack (shared/store/record.py)
-- Returns {stages left, {asker, origin, …}, of each step {verdict, seq, event}, waits (us) of the
-- orders that follow, in their order, that of the analysis last}. A step's verdict is one of
--   new    written now; its event is left out, since whoever wrote it has it
--   again  it was written before: that event
--   ended  the flight takes no more
--   stale  not written, since it was made of other outcomes than those that stand
local record = cmsgpack.unpack(ARGV[1])
local key, flight = KEYS[1], record.flight
local log, askers = key .. ':log', key .. ':askers'
local time = redis.call('TIME')
local micros = time[1] * 1000000 + time[2]
local now = record.now > 0 and record.now or math.floor(micros / 1000)

local function end_for_all(terminal, revoked)
  local lifetime = record.lifetime
  redis.call('HSET', key, 'ended', terminal)
  local wanted = take_off(key, flight)
  -- Whatever of it waits or is being worked on: nobody needs it any more.
  local function forget(step, queue)
    redis.call('ZREM', 'consulta:active:' .. queue, flight)
    redis.call('ZREM', 'consulta:waiting:' .. queue, flight)
    redis.call('ZREM', 'consulta:put_off', step .. ':' .. flight)
  end
  for stage in string.gmatch(wanted .. ',', '([^,]+),') do forget(stage, 'stage.' .. stage) end
  forget('analysis', 'analysis.requested')
  for _, task in ipairs(redis.call('HKEYS', askers)) do
    local lookup = 'consulta:lookup:' .. task
    if redis.call('EXISTS', lookup) == 1 then
      local about = redis.call('HMGET', lookup, 'keep', 'slots', 'alone')
      if about[3] then
        -- Whoever took it out has still to tell the end. Should it die, somebody else looks.
        redis.call('ZADD', 'consulta:deadlines', 'XX', now / 1000 + 3, task)
      else
        redis.call('ZREM', 'consulta:deadlines', task)
      end
      -- Whoever may repeat its request for a day has to find the answer for a day.
      local keep = math.max(record.lifetime, tonumber(about[1] or 0))
      lifetime = math.max(lifetime, keep)
      if about[2] then redis.call('ZREM', about[2], task) end
      redis.call('HSET', lookup, 'ended', terminal)
      redis.call('HDEL', lookup, 'request', 'last')
      if revoked then redis.call('HSET', lookup, 'revoked', 1) end
      redis.call('EXPIRE', lookup, keep)
    end
  end
  for _, name in ipairs({key, log, askers}) do redis.call('EXPIRE', name, lifetime) end
end

local all_new, first = true, nil
local function write(step)
  local name = step.name
  -- Whoever worked on this step does so no longer. A write that frees comes first: with the memory
  -- full, Redis then lets the others pass.
  local queue = name == 'analysis' and 'analysis.requested' or ('stage.' .. name)
  redis.call('ZREM', 'consulta:active:' .. queue, flight)
  redis.call('HDEL', key, 'tried:' .. name)
  local seq = redis.call('HGET', key, 'seq:' .. name)
  if seq then
    all_new = false
    return {'again', tonumber(seq), redis.call('LINDEX', log, seq - 1)}
  end
  if step.event == '' or redis.call('EXISTS', key) == 0 or redis.call('HEXISTS', key, 'ended') == 1 then
    all_new = false
    return {'ended', 0, ''}
  end
  if (step.ends ~= '' and not all_new) or (step.derived and first[1] ~= 'new') then
    all_new = false
    return {'stale', 0, ''}
  end
  seq = redis.call('RPUSH', log, step.event)
  redis.call('HSET', key, 'seq:' .. name, seq)
  -- What is answered need not stand in line.
  if step.counts then
    redis.call('HINCRBY', key, 'left', -1)
    redis.call('ZREM', 'consulta:waiting:' .. queue, flight)
    -- An asker with much more time would have had another answer: see plan.lua.
    if string.find(step.event, '"situacao":"expirado"', 1, true)
      or string.find(step.event, '"situacao":"limitado"', 1, true) then
      local deadline = tonumber(redis.call('HGET', key, 'deadline') or 0)
      redis.call('HSET', key, 'short', math.max(1000, math.floor(deadline - now)))
    end
  end
  if step.ends ~= '' then end_for_all(step.ends, step.revoked) end
  return {'new', seq, ''}
end

local steps, waits = {}, {}
for index, step in ipairs(record.steps) do
  steps[index] = write(step)
  first = first or steps[index]
end
local left = tonumber(redis.call('HGET', key, 'left') or 0)

local used = record.used
if used then
  if used.unused then redis.call('ZREM', used.key, used.id)
  else settle_permit(used.key, used.id, used.margin, micros) end
end
-- An answer that comes too late for its lookup is good for the next one; but not one that another has
-- given before.
local late = first[1] == 'again' and string.find(first[3], '"situacao":"expirado"', 1, true)
if first[1] ~= 'again' or late then
  for _, kept in ipairs(record.kept) do
    keep_entries(kept.kind, kept.digest, kept.lifetime, kept.fields)
  end
end
if all_new then
  local function join(place)
    waits[#waits + 1] = join_line(place.waiting, place.permits, key, flight, place.step, place.order,
      place.windows, micros)
  end
  for _, place in ipairs(record.following) do join(place) end
  if left == 0 and record.analysis then join(record.analysis) end
end
return {left, redis.call('HGETALL', askers), steps, waits}
