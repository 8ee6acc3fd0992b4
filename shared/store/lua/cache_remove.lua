-- Remove subjects by their keys.
-- KEYS: consulta:v{version}:{member} …   Returns how many went.
local removed = 0
for _, key in ipairs(KEYS) do
  local version, member = string.match(key, '^consulta:v(%d+):(.+)$')
  if version then
    removed = removed + redis.call('UNLINK', key)
    redis.call('ZREM', 'consulta:cache:keys:' .. version, member)
  end
end
return removed
