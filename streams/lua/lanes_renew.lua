#!lua flags=allow-oom
-- lanes_renew: a worker still lives, though its event loop may be blocked: its lanes stay its own for another lease. It
-- takes none, and one that is out of the crew does not come back by this.
-- KEYS[1]  the log
-- ARGV     1 inbox, 2 consumer, 3 lease ms
-- Answer   how many lanes were renewed

local inbox, me, till = ARGV[1], ARGV[2], clock() + tonumber(ARGV[3])
local count = tonumber(call('HGET', K.lanes .. inbox, 'count') or 0)
if not call('ZSCORE', K.crew .. inbox, me) then return 0 end
call('ZADD', K.crew .. inbox, 'XX', till, me)
local renewed = 0
for lane = -1, count - 1 do
  local name = lane < 0 and 'front' or lane
  local generation, _, owner = lane_of(inbox, name)
  if owner == me then
    store_lane(inbox, name, generation, till, me)
    renewed = renewed + 1
  end
end
return renewed
