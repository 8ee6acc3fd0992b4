-- Ask whether this order may be carried out.
-- KEYS: flight, waiting, active, overtaken, claimants
-- ARGV: step, order, flight id, patience, instance ('' for one that never says it lives)
-- Returns {verdict, ms the flight has left, priority, overdue order, what it was put off as last, and,
-- where an analysis is to be made, {kind, digest, wanted, event, …}}; verdict is one of
--   go      do it
--   resume  do it; this very order was begun before, and its process died or met an outage
--   busy    another process, which lives, has this very order: ask again later
--   repeat  this order was carried out, but perhaps not told: tell again, even if it all has ended
--   drop    another order has it or had it, or the flight has ended
--
-- An order that is put off comes back as another, named after it: `order.…`. Should it have been
-- delivered again before its ack, or its process have died before it was published, there are two
-- of it, or one: so either may be carried out, `last` or `next`, and whichever is put off again
-- makes the other one that nobody needs. That one is dropped: the message of `last` is in the queue
-- for as long as that of `next` is not. One that did not come back in time was sent again, perhaps
-- more than once, as `sent`-…: each is as good as `next`.
--
-- An order whose claim is held by a dead process, or was given back long ago, may be lost, as a
-- message can be whose queue was deleted: then another order for the step has its claim.
--
-- What has waited longest and was overtaken `patience` times in a row by others is overdue: its
-- order is handed out, to be published again with the highest priority.
local key, waiting, active, overtaken, claimants = unpack(KEYS)
local step, order, flight, patience, instance = unpack(ARGV)
-- A write that frees comes first: with the memory full, Redis then lets the others pass.
redis.call('ZREM', active, '')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- The line's unit: in milliseconds, what came in this very one would seem to come yet.
local micros = time[1] * 1000000 + time[2]

local function overdue()
  local head, since = unpack(redis.call('ZRANGE', waiting, 0, 0, 'WITHSCORES'))
  -- One that comes back later was put off, and is not being passed over.
  if not head or tonumber(since) > micros then return '' end
  local about = 'consulta:flight:' .. head
  -- Equals are served in the order of the queue; only what is more urgent overtakes.
  if tonumber(redis.call('HGET', key, 'priority')) <= tonumber(redis.call('HGET', about, 'priority') or 0)
  then return '' end
  if redis.call('HGET', overtaken, 'head') ~= head then
    redis.call('HSET', overtaken, 'head', head, 'times', 0)
  end
  if redis.call('HINCRBY', overtaken, 'times', 1) < tonumber(patience) then return '' end
  redis.call('HSET', overtaken, 'times', 0)
  local late = redis.call('HGET', about, 'order:' .. step)
  -- One without an order is in the line no more, whatever became of it.
  if not late then redis.call('ZREM', waiting, head) end
  return late or ''
end

-- Processes say every second that they live. Five seconds without a word from one mean that it is
-- dead, unless all were silent lately: then there was no Redis to say it to, and each has five more.
local function lives(claimant)
  local beat = redis.call('ZSCORE', claimants, claimant)
  if not beat then return false end
  local newest = redis.call('ZRANGE', claimants, -1, -1, 'WITHSCORES')[2]
  if tonumber(newest) < now - 2500 then redis.call('SET', claimants .. ':since', now) end
  local since = redis.call('GET', claimants .. ':since') or 0
  return math.max(tonumber(beat), tonumber(since)) > now - 5000
end

local function is_surplus()
  if not string.find(order, '.', 1, true) then return false end
  local last, next, sent =
    unpack(redis.call('HMGET', key, 'last:' .. step, 'next:' .. step, 'sent:' .. step))
  return last and order ~= last and order ~= next and string.match(order, '^([^-]*)') ~= sent
end

local function is_abandoned(claimant)
  if claimant ~= '' then return claimant ~= instance and not lives(claimant) end
  local freed = redis.call('HGET', key, 'freed:' .. step)
  -- Longer than any pause before it is tried again, where its answer may lie ready.
  return freed and tonumber(freed) < now / 1000 - 30
end

local deadline = redis.call('HGET', key, 'deadline') or '0'
local holder = redis.call('HGET', key, 'claim:' .. step)
local claimant = redis.call('HGET', key, 'by:' .. step) or ''
local verdict
if redis.call('HEXISTS', key, 'seq:' .. step) == 1 then
  verdict = (holder == order) and 'repeat' or 'drop'
elseif redis.call('EXISTS', key) == 0 or redis.call('HEXISTS', key, 'ended') == 1 then
  verdict = 'drop'
elseif holder and holder ~= order and not is_abandoned(claimant) then
  -- Its message is still in the queue, unacknowledged, so this one may go, and its place in the line.
  redis.call('ZREM', waiting, flight)
  return {'drop', 0, '0', '', '', {}}
elseif holder == order and claimant ~= instance and lives(claimant) then
  return {'busy', 0, '0', '', '', {}}
elseif not holder and is_surplus() then
  return {'drop', 0, '0', '', '', {}}
else
  verdict = holder and 'resume' or 'go'
  redis.call('HSET', key, 'claim:' .. step, order, 'by:' .. step, instance)
  redis.call('HDEL', key, 'order:' .. step, 'freed:' .. step)
  redis.call('ZADD', active, deadline, flight)
end
redis.call('ZREM', waiting, flight)
redis.call('ZREM', 'consulta:put_off', step .. ':' .. flight)
-- Nobody works on what has ended, nor on what should have: its process died.
if verdict == 'drop' then redis.call('ZREM', active, flight) end
redis.call('ZREMRANGEBYSCORE', active, '-inf', now)
local about = {}
if step == 'analysis' and (verdict == 'go' or verdict == 'resume') then
  about = redis.call('LRANGE', key .. ':log', 0, -1)
  local known = redis.call('HMGET', key, 'kind', 'digest', 'wanted')
  for place = 1, 3 do table.insert(about, place, known[place] or '') end
end
return {verdict, math.max(0, tonumber(deadline) - now), redis.call('HGET', key, 'priority') or '0',
  verdict == 'go' and overdue() or '', redis.call('HGET', key, 'tried:' .. step) or '', about}
