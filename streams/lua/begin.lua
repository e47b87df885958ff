#!lua flags=allow-oom
-- begin: an attempt that must be known to have begun, even if its worker dies of it: one after workers have died with the
-- delivery in hand, or the last that it has. What was not begun is not counted against it. The delivery is renewed, too.
-- KEYS[1]  the log
-- ARGV     1 inbox, 2 consumer, 3 entry, 4 count, 5 the attempt, counted from 1
-- Answer   1, or 0 if the delivery has been taken over: then it must not be begun

if not holds(ARGV[1], ARGV[2], ARGV[3], ARGV[4]) then return 0 end
redis.call('XCLAIM', K.inbox .. ARGV[1], GROUP, ARGV[2], 0, ARGV[3], 'JUSTID')
redis.call('HSET', K.tries .. ARGV[1], ARGV[3], ARGV[5])
return 1
