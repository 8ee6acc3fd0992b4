-- Write down the outcome of a step once: its event gets the next sequence number.
-- KEYS: flight
-- ARGV: flight id, step, event, counts (0|1), terminal ('' | type), lifetime s,
--       now ms (0: Redis' own clock), revoked (0|1: its asker ended it)
-- Returns {verdict, seq, stages left, event, asker, origin, …}; verdict is new, again (it was
-- written before: that event), or ended (the flight takes no more).
local key = KEYS[1]
local flight, step, event, counts, terminal, lifetime, now, revoked = unpack(ARGV)
local log, askers = key .. ':log', key .. ':askers'

-- Whoever worked on this step does so no longer.
local queue = step == 'analysis' and 'analysis.requested' or ('stage.' .. step)
redis.call('ZREM', 'consulta:active:' .. queue, flight)
redis.call('HDEL', key, 'tried:' .. step)

local verdict = 'again'
local seq = redis.call('HGET', key, 'seq:' .. step)
if not seq then
  if event == '' or redis.call('EXISTS', key) == 0 or redis.call('HEXISTS', key, 'ended') == 1 then
    return {'ended', 0, 0, ''}
  end
  verdict = 'new'
  seq = redis.call('RPUSH', log, event)
  redis.call('HSET', key, 'seq:' .. step, seq)
  if counts == '1' then redis.call('HINCRBY', key, 'left', -1) end
end

if verdict == 'new' and terminal ~= '' then
  redis.call('HSET', key, 'ended', terminal)
  local pointer = redis.call('HGET', key, 'pointer')
  if pointer and redis.call('GET', pointer) == flight then redis.call('DEL', pointer) end
  -- Whatever of it waits or is being worked on: nobody needs it any more.
  for stage in string.gmatch((redis.call('HGET', key, 'wanted') or '') .. ',', '([^,]+),') do
    redis.call('ZREM', 'consulta:active:stage.' .. stage, flight)
    redis.call('ZREM', 'consulta:waiting:stage.' .. stage, flight)
    redis.call('ZREM', 'consulta:put_off', stage .. ':' .. flight)
  end
  redis.call('ZREM', 'consulta:active:analysis.requested', flight)
  redis.call('ZREM', 'consulta:waiting:analysis.requested', flight)
  redis.call('ZREM', 'consulta:put_off', 'analysis:' .. flight)
  for _, task in ipairs(redis.call('HKEYS', askers)) do
    local lookup = 'consulta:lookup:' .. task
    if redis.call('EXISTS', lookup) == 1 then
      local about = redis.call('HMGET', lookup, 'keep', 'slots', 'alone')
      if about[3] then
        -- Whoever took it out has still to tell the end. Should it die, somebody else looks.
        local seconds = now == '0' and tonumber(redis.call('TIME')[1]) or now / 1000
        redis.call('ZADD', 'consulta:deadlines', 'XX', seconds + 3, task)
      else
        redis.call('ZREM', 'consulta:deadlines', task)
      end
      -- Whoever may repeat its request for a day has to find the answer for a day.
      local keep = math.max(tonumber(lifetime), tonumber(about[1] or 0))
      if keep > tonumber(lifetime) then lifetime = keep end
      if about[2] then redis.call('ZREM', about[2], task) end
      redis.call('HSET', lookup, 'ended', terminal)
      if revoked == '1' then redis.call('HSET', lookup, 'revoked', 1) end
      redis.call('EXPIRE', lookup, keep)
    end
  end
  for _, name in ipairs({key, log, askers}) do redis.call('EXPIRE', name, lifetime) end
end

local answer = {verdict, tonumber(seq), tonumber(redis.call('HGET', key, 'left') or 0),
  redis.call('LINDEX', log, seq - 1)}
for _, value in ipairs(redis.call('HGETALL', askers)) do answer[#answer + 1] = value end
return answer
