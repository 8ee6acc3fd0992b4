-- Which of these lookups have more in their logs than was heard of, or have ended, or are lost.
-- ARGV: task, events seen, …   Returns the tasks.
local behind = {}
for index = 1, #ARGV, 2 do
  local task, seen = ARGV[index], tonumber(ARGV[index + 1])
  local key = 'consulta:lookup:' .. task
  local flight, ended = unpack(redis.call('HMGET', key, 'flight', 'ended'))
  local more
  if flight then more = redis.call('LLEN', 'consulta:flight:' .. flight .. ':log') > seen
  else more = ended or redis.call('EXISTS', key) == 0 end
  if more or ended then behind[#behind + 1] = task end
end
return behind
