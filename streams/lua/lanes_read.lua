#!lua flags=allow-oom
-- lanes_read: new deliveries of lanes. Whoever has lost a lane gets none of it: a read of a stale owner would take entries
-- away from the new one.
-- KEYS[1]  the log
-- ARGV     1 inbox, 2 consumer, 3 most deliveries; then lane and generation of each lane to read
-- Answer   lanes that are lost; lane and entries of each that had any

local inbox, me, left = ARGV[1], ARGV[2], tonumber(ARGV[3])
local lost, found = {}, {}
for i = 4, #ARGV, 2 do
  local lane = ARGV[i]
  if not owns_lane(inbox, lane, ARGV[i + 1], me) then
    lost[#lost + 1] = lane
  elseif left > 0 then
    local stream = K.inbox .. lane .. '/' .. inbox
    local read = redis.pcall('XREADGROUP', 'GROUP', GROUP, me, 'COUNT', left, 'STREAMS', stream, '>')
    if read and read.err then
      lost[#lost + 1] = lane -- the stream has been taken away
    elseif read then
      local entries = read[1][2]
      left = left - #entries
      found[#found + 1] = lane
      found[#found + 1] = entries
    end
  end
end
return { lost, found }
