-- Take a flight off its subject: whoever asks for the same from now on gets a flight of its own.
-- Returns the stages it was to have, separated by commas.
local function take_off(key, flight)
  local pointer, digest, wanted = unpack(redis.call('HMGET', key, 'pointer', 'digest', 'wanted'))
  local inflight = 'consulta:inflight:' .. (digest or '')
  if pointer and redis.call('HGET', inflight, pointer) == flight then
    redis.call('HDEL', inflight, pointer)
  end
  return wanted or ''
end
