#!lua flags=no-writes
-- glance: the records of notes, and how their contents begin. Nobody reads them by it, so nothing is logged.
-- KEYS[1]  the log
-- ARGV     1 first bytes of each content, 2 most bytes of all contents (the last one may go past it),
--          3 'live' = of notes past their deadline nothing, 'there' = whatever has not expired yet, then IDs of notes
-- Answer   for each ID, until there are so many bytes: '' (no such note), or record, deadline, entry, beginning

local first, left, only_live, now = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3] == 'live', clock()
local answer = {}
for i = 4, #ARGV do
  if left <= 0 then break end
  local note = redis.call('HMGET', K.note .. ARGV[i], 'record', 'deadline', 'entry', 'digest')
  local deadline = note[2] or ''
  if not note[1] or (only_live and deadline ~= '' and tonumber(deadline) <= now) then
    answer[#answer + 1] = ''
  else
    local begins = first > 0 and redis.call('GETRANGE', K.blob .. note[4], 0, first - 1) or ''
    left = left - #begins - 1
    answer[#answer + 1] = { note[1], deadline, note[3] or '', begins }
  end
end
return answer
