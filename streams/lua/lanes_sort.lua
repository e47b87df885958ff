#!lua flags=allow-oom
-- lanes_sort: move entries from the front of a keyed inbox into the lanes of their keys, in order. Done again, it finds them
-- gone, and does nothing.
-- KEYS[1]  the log
-- ARGV     1 inbox, 2 consumer, 3 generation of the front; then entry and lane of each
-- Answer   how many entries are in the lanes now, or -1: another sorts

local inbox = ARGV[1]
if not owns_lane(inbox, 'front', ARGV[3], ARGV[2]) then return -1 end
local front, moved, lane_by = K.inbox .. inbox, {}, {}
for i = 4, #ARGV, 2 do lane_by[ARGV[i]] = K.inbox .. ARGV[i + 1] .. '/' .. inbox end
if #ARGV > 4 then
  for _, entry in ipairs(call('XRANGE', front, ARGV[4], ARGV[#ARGV - 1])) do
    local lane = lane_by[entry[1]]
    if lane then
      call('XADD', lane, '*', unpack(entry[2]))
      moved[#moved + 1] = entry[1]
    end
  end
end
if #moved > 0 then
  call('XACK', front, GROUP, unpack(moved)) -- a worker of the time before there were lanes may have it in hand
  call('XDEL', front, unpack(moved))
end
local length = 0
for lane = 0, tonumber(call('HGET', K.lanes .. inbox, 'count')) - 1 do
  length = length + call('XLEN', K.inbox .. lane .. '/' .. inbox)
end
return length
