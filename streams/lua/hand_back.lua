#!lua flags=allow-oom
-- hand_back: a worker that stops gives up deliveries that it has not started, so that others need not wait for a lease.
-- They become idle at once: the sweep takes those that have been idle for longer than a lease.
-- KEYS[1]  the log
-- ARGV     1 inbox, 2 consumer, 3 idle ms, then entry and count of each delivery
-- Answer   how many were handed back

local back = 0
for i = 4, #ARGV, 2 do
  if holds(ARGV[1], ARGV[2], ARGV[i], ARGV[i + 1]) then
    redis.call('XCLAIM', K.inbox .. ARGV[1], GROUP, ARGV[2], 0, ARGV[i], 'IDLE', ARGV[3], 'RETRYCOUNT',
      ARGV[i + 1] - 1, 'JUSTID') -- an attempt that never started is none
    back = back + 1
  end
end
return back
