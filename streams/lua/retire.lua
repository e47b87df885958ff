#!lua flags=allow-oom
-- retire: delete a consumer that is gone, if nothing is pending for it (DELCONSUMER would strand its entries for ever).
-- KEYS[1]  the log
-- ARGV     1 inbox, 2 consumer
-- Answer   1 if it was deleted, otherwise 0

if redis.call('EXISTS', K.inbox .. ARGV[1]) == 0 then return 0 end
local pending = redis.call('XPENDING', K.inbox .. ARGV[1], GROUP, '-', '+', 1, ARGV[2])
if #pending > 0 then return 0 end
redis.call('XGROUP', 'DELCONSUMER', K.inbox .. ARGV[1], GROUP, ARGV[2])
return 1
