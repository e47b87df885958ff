#!lua flags=allow-oom
-- lay_down: the owner of a lane gives up deliveries that it has not begun, where they are: whoever owns the lane next takes
-- them first, in order, and they have lost no attempt.
-- KEYS[1]  the log
-- ARGV     1 inbox of the lane, 2 consumer, then of each delivery entry, count, and how often it has been given to others
-- Answer   how many were given up

local back = 0
for i = 3, #ARGV, 3 do
  if holds(ARGV[1], ARGV[2], ARGV[i], ARGV[i + 1]) then
    redis.call('XCLAIM', K.inbox .. ARGV[1], GROUP, ARGV[2], 0, ARGV[i], 'RETRYCOUNT', ARGV[i + 2], 'JUSTID')
    back = back + 1
  end
end
return back
