#!lua flags=allow-oom
-- mine: deliveries pending for a consumer that it is not handling, because the reply that held them was lost. Looked for
-- and taken in one step: between two, a sweep could give them to another, and a bare XCLAIM would take them back.
-- KEYS[1]  the log
-- ARGV     1 inbox, 2 consumer, 3 most deliveries, then the entries that it is handling
-- Answer   for each delivery: entry, count, fields

local in_hand = {}
for i = 4, #ARGV do in_hand[ARGV[i]] = true end
local taken, start = {}, '-'
repeat
  local page = redis.call('XPENDING', K.inbox .. ARGV[1], GROUP, start, '+', 100, ARGV[2])
  for _, pending in ipairs(page) do
    start = '(' .. pending[1]
    if not in_hand[pending[1]] and #taken < tonumber(ARGV[3]) then
      local claimed = redis.call('XCLAIM', K.inbox .. ARGV[1], GROUP, ARGV[2], 0, pending[1])[1]
      if claimed then taken[#taken + 1] = { claimed[1], pending[4] + 1, claimed[2] } end
    end
  end
until #page < 100 or #taken >= tonumber(ARGV[3])
return taken
