#!lua flags=allow-oom
-- mine: deliveries pending for a consumer that it is not handling, because the reply that held them was lost. Looked for
-- and taken in one step: between two, a sweep could give them to another, and a bare XCLAIM would take them back.
-- A repeat of this call changes no count: nobody has begun what a lost reply held.
-- KEYS[1]  the log
-- ARGV     1 inbox, 2 consumer, 3 most deliveries, then entry and count of each delivery that it knows: count '' = it is
--          handling it, otherwise the count at which it has handled it, and does not know how that ended
-- Answer   for each delivery: entry, count, fields, the attempt that was begun last ('' if none is known)

local known = {}
for i = 4, #ARGV, 2 do known[ARGV[i]] = ARGV[i + 1] end
local taken, start = {}, '-'
repeat
  local page = redis.call('XPENDING', K.inbox .. ARGV[1], GROUP, start, '+', 100, ARGV[2])
  for _, pending in ipairs(page) do
    start = '(' .. pending[1]
    local had = known[pending[1]]
    if had ~= '' and #taken < tonumber(ARGV[3]) then
      local count = math.max(pending[4], (tonumber(had or 0) or 0) + 1)
      local claimed = redis.call('XCLAIM', K.inbox .. ARGV[1], GROUP, ARGV[2], 0, pending[1], 'RETRYCOUNT', count)[1]
      if claimed then
        local begun = redis.call('HGET', K.tries .. ARGV[1], claimed[1]) or ''
        taken[#taken + 1] = { claimed[1], count, claimed[2], begun }
      end
    end
  end
until #page < 100 or #taken >= tonumber(ARGV[3])
return taken
