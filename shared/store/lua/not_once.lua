-- Let an Idempotency-Key begin another lookup. Only if it still stands for this one: a repetition may
-- have it by now.
-- KEYS: key, lookup   ARGV: task, even where the lookup is there (0|1)
local task, even = unpack(ARGV)
-- Accepted after all, by a repetition or by a try that got no answer: somebody may count on it.
if even == '0' and redis.call('EXISTS', KEYS[2]) == 1 then return end
local value = redis.call('GET', KEYS[1])
if value and string.sub(value, 1, #task + 1) == task .. ' ' then redis.call('DEL', KEYS[1]) end
