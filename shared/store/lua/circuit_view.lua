-- Every circuit as all replicas know it, and the reports of those that are alive.
-- KEYS: reports, names   ARGV: now ms (0: Redis' own clock), a report's life ms,
--       a name's life ms
-- Returns {{name, state, open ms, cause, forced}, …}, {field, report, …}
local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local circuits, alive = {}, {}
local since = string.format('%.0f', now - tonumber(ARGV[3]))
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], since, '+inf')) do
  local known = redis.call('HMGET', 'consulta:circuit:' .. name, 'state', 'open_until', 'cause',
    'forced')
  circuits[#circuits + 1] = {
    name, known[1] or '', math.max(0, tonumber(known[2] or 0) - now), known[3] or '',
    known[4] or '',
  }
end
local reports = redis.call('HGETALL', KEYS[1])
for index = 1, #reports, 2 do
  local at = tonumber(string.match(reports[index + 1], '^{"em":(%d+)'))
  if at and at >= now - tonumber(ARGV[2]) then
    alive[#alive + 1] = reports[index]
    alive[#alive + 1] = reports[index + 1]
  end
end
return {circuits, alive}
