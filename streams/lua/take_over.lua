#!lua flags=allow-oom
-- take_over: deliveries whose worker has not been heard of for a while, with the counts that they have now.
-- KEYS[1]  the log
-- ARGV     1 inbox, 2 consumer, 3 idle ms, 4 cursor, 5 most deliveries
-- Answer   the next cursor; for each delivery: entry, count, fields, the attempt that was begun last ('' if none is known)

local inbox, consumer = K.inbox .. ARGV[1], ARGV[2]
local answer = redis.call('XAUTOCLAIM', inbox, GROUP, consumer, ARGV[3], ARGV[4], 'COUNT', ARGV[5])
local taken = {}
for _, claimed in ipairs(answer[2]) do
  local pending = redis.call('XPENDING', inbox, GROUP, claimed[1], claimed[1], 1, consumer)[1]
  local begun = redis.call('HGET', K.tries .. ARGV[1], claimed[1]) or ''
  taken[#taken + 1] = { claimed[1], pending[4], claimed[2], begun }
end
return { answer[1], taken }
