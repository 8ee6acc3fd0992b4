-- Which gateways have a client for a lookup, and so are told its news: beside the asker's origin.
-- Nothing is lost where Redis takes no write: whoever listens looks into the log, too.
local function set_listeners(lookup, listeners)
  local answer
  if #listeners == 0 then answer = redis.pcall('HDEL', lookup, 'listeners')
  else answer = redis.pcall('HSET', lookup, 'listeners', table.concat(listeners, ' ')) end
  if type(answer) == 'table' then return end
  local origin, flight = unpack(redis.call('HMGET', lookup, 'origin', 'flight'))
  if not flight then return end
  local askers = 'consulta:flight:' .. flight .. ':askers'
  local task = string.sub(lookup, string.len('consulta:lookup:') + 1)
  if redis.call('HEXISTS', askers, task) == 1 then
    table.insert(listeners, 1, origin or '')
    redis.call('HSET', askers, task, table.concat(listeners, ' '))
  end
end
