-- List subjects in the index that are not, or with too early an end: a release that had no index
-- wrote them.
-- KEYS: consulta:v{version}:{member} …
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, key in ipairs(KEYS) do
  local version, member = string.match(key, '^consulta:v(%d+):(.+)$')
  local left = redis.call('PTTL', key)
  if version and left > 0 then
    local index = 'consulta:cache:keys:' .. version
    redis.call('ZADD', index, 'GT', string.format('%.0f', now + left), member)
    if redis.call('PTTL', index) < left then redis.call('PEXPIRE', index, left) end
  end
end
