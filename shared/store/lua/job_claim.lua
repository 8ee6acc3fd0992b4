-- Claim one slot of a periodic job, and count the slots that nobody ran since the one before.
-- A claim may be made again by the same claimant, whose answer was lost: it runs nothing yet. So
-- it is given what it had, or a later slot in its stead.
-- KEYS: job   ARGV: slot, now, lease (all seconds), claimant, the slot claimed before as it is
--   known ('': none), slots missed since then
-- Returns {what, 1 if the run before never ended}, where what is 0: the slot is over, 1: claimed,
--   2: another one was claimed meanwhile, 3: a run goes on, or has not been given up yet.
local slot, now = tonumber(ARGV[1]), tonumber(ARGV[2])
local known = redis.call('HMGET', KEYS[1], 'slot', 'started', 'finished', 'claimant', 'lease')
local before, started = tonumber(known[1] or '0'), tonumber(known[2] or '0')
local under_way, again = started > 0 and not known[3], known[4] == ARGV[4]
if again then
  if not under_way then return {0, 0} end
else
  if slot <= before then return {0, 0} end
  if under_way and now < started + tonumber(known[5] or ARGV[3]) then return {3, 0} end
end
if (known[1] or '') ~= ARGV[5] then return {2, 0} end
redis.call('HSET', KEYS[1], 'started', ARGV[2], 'lease', ARGV[3], 'claimant', ARGV[4])
if slot > before then redis.call('HSET', KEYS[1], 'slot', ARGV[1]) end
redis.call('HDEL', KEYS[1], 'finished', 'outcome')
if tonumber(ARGV[6]) > 0 then redis.call('HINCRBY', KEYS[1], 'missed', ARGV[6]) end
return {1, (under_way and not again) and 1 or 0}
