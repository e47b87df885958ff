#!lua flags=allow-oom
-- lanes_leave: a worker gives up lanes, in good order: nothing of them is in its hands. Others may take them at once.
-- KEYS[1]  the log
-- ARGV     1 inbox, 2 consumer, 3 '1' = it leaves the crew, with all that it has; otherwise lanes
-- Answer   how many lanes it gave up

local inbox, me, given = ARGV[1], ARGV[2], 0
local names = {}
if ARGV[3] == '1' then
  call('ZREM', K.crew .. inbox, me)
  names[1] = 'front'
  for lane = 0, tonumber(call('HGET', K.lanes .. inbox, 'count') or 0) - 1 do names[#names + 1] = lane end
else
  for i = 4, #ARGV do names[#names + 1] = ARGV[i] end
end
for _, lane in ipairs(names) do
  local generation, _, owner = lane_of(inbox, lane)
  if owner == me then
    store_lane(inbox, lane, generation, 0, '')
    given = given + 1
  end
end
if call('EXISTS', K.inbox .. inbox) == 1 then announce(inbox, 'left') end
return given
