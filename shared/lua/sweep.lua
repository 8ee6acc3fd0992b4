-- Take what is overdue, and leave it for later: another replica need not take it as well.
-- KEYS: zset of tasks by time   ARGV: overdue before, look again at, how many
local tasks = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])
for _, task in ipairs(tasks) do redis.call('ZADD', KEYS[1], ARGV[2], task) end
return tasks
