#!lua flags=allow-oom
-- relay: one of the fleet brings what is in a shard's outboxes to the other shards: it gets the first units of each.
-- They stay until `relayed` takes them away.
-- KEYS[1]  the log
-- ARGV     1 who, 2 lease ms (0 gives it up), 3 most units of each outbox, 4 most bytes of them (one is always given);
--          the other shards
-- Answer   '0' ms                             another is the relay, for so long at least
--          '1' 0 [[entry, fields, flat]…]…    for each of those shards

local lease = K.lease .. 'relay'
local holder = call('GET', lease)
if holder and holder ~= ARGV[1] then return { '0', call('PTTL', lease) } end
if ARGV[2] == '0' then
  call('DEL', lease)
  return { '0', 0 }
end
call('SET', lease, ARGV[1], 'PX', ARGV[2])

local most, answer = tonumber(ARGV[3]), { '1', 0 }
for i = 5, #ARGV do
  local left, given = tonumber(ARGV[4]), {}
  for _, unit in ipairs(call('XRANGE', K.outbox .. ARGV[i], '-', '+', 'COUNT', most)) do
    left = left - #unit[2][4]
    if left < 0 and #given > 0 then break end
    given[#given + 1] = unit
  end
  answer[#answer + 1] = given
end
return answer
