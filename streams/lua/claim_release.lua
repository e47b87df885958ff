#!lua flags=allow-oom
-- claim_release: the computation failed or was cancelled; whoever waits may try.
-- KEYS[1]  the log
-- ARGV     1 key, 2 nonce
-- Answer   1 if it was mine, otherwise 0

if redis.call('HGET', K.claim .. ARGV[1], 'nonce') ~= ARGV[2] then return 0 end
redis.call('DEL', K.claim .. ARGV[1])
redis.call('SPUBLISH', K.bell .. ARGV[1], 'released')
return 1
