-- KEYS: job   ARGV: slots that passed while no process ran
return redis.call('HINCRBY', KEYS[1], 'missed', ARGV[1])
