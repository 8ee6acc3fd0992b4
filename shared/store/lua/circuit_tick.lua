-- One replica's second: say how its circuits stand, and hear what all replicas know of them.
-- KEYS: reports, names, circuit …   ARGV: now ms (0: Redis' own clock), instance,
--       a report's life ms, then name, report, …
-- Returns for each circuit {state, open ms, openings, cause, probe ms, forced}; durations are from
-- now on, on Redis' clock, so that no replica's clock matters.
local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local instance, life = ARGV[2], tonumber(ARGV[3])

local answer = {}
for index = 3, #KEYS do
  local name, report = ARGV[2 * index - 2], ARGV[2 * index - 1]
  redis.call('ZADD', KEYS[2], now, name)
  redis.call('HSET', KEYS[1], name .. '|' .. instance,
    string.format('{"em":%.0f,%s', now, string.sub(report, 2)))
  local known = redis.call('HMGET', KEYS[index], 'state', 'open_until', 'openings', 'cause',
    'probe_until', 'forced')
  answer[#answer + 1] = {
    known[1] or '', math.max(0, tonumber(known[2] or 0) - now), tonumber(known[3] or 0),
    known[4] or '', math.max(0, tonumber(known[5] or 0) - now), known[6] or '',
  }
end
local reports = redis.call('HGETALL', KEYS[1])
for index = 1, #reports, 2 do
  local at = tonumber(string.match(reports[index + 1], '^{"em":(%d+)'))
  if not at or at < now - life then redis.call('HDEL', KEYS[1], reports[index]) end
end
return answer
