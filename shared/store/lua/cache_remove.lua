-- Remove subjects by their keys. Whoever asks from now on joins no flight that may have been told
-- what is removed.
-- KEYS: consulta:v{version}:{member} …   Returns how many went.
local removed, current = 0, redis.call('GET', 'consulta:version') or '1'
for _, key in ipairs(KEYS) do
  local version, member = string.match(key, '^consulta:v(%d+):(.+)$')
  if version then
    removed = removed + redis.call('UNLINK', key)
    redis.call('ZREM', 'consulta:cache:keys:' .. version, member)
    if version == current then
      redis.call('UNLINK', 'consulta:inflight:' .. string.match(member, '[^:]*$'))
    end
  end
end
return removed
