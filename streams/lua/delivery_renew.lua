#!lua flags=allow-oom
-- delivery_renew: deliveries still in hand are not idle. Only those that are this consumer's, with the same count: a bare
-- XCLAIM of a worker that was frozen would take them back from their new owner.
-- KEYS[1]  the log
-- ARGV     1 inbox, 2 consumer, then entry and count of each delivery
-- Answer   for each delivery 1, or 0 if it has been taken over

local kept = {}
for i = 3, #ARGV, 2 do
  if holds(ARGV[1], ARGV[2], ARGV[i], ARGV[i + 1]) then
    redis.call('XCLAIM', K.inbox .. ARGV[1], GROUP, ARGV[2], 0, ARGV[i], 'JUSTID') -- JUSTID keeps the count
    kept[#kept + 1] = 1
  else
    kept[#kept + 1] = 0
  end
end
return kept
