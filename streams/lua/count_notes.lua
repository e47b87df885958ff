#!lua flags=allow-oom
-- count_notes: notes that were there before their agents were limited are counted, a page of them.
-- KEYS[1]  the log
-- ARGV     1 where to go on ('' = begin)
-- Answer   where to go on; '' = all are counted, or none need be

local count = call('HGET', K.counted, ' counting')
if not count then return '' end
local of, cursor = string.match(ARGV[1], '^(%S+) (%d+)$')
local page = call('ZSCAN', K.deadlines, of == count and cursor or '0', 'COUNT', 100)
for i = 1, #page[2], 2 do
  local id = page[2][i]
  local note = call('HMGET', K.note .. id, 'counted', 'record', 'size')
  if note[2] and string.match(note[1] or '', '^%S+') ~= count then count_note(id, note[2], note[3]) end
end
if page[1] ~= '0' then return count .. ' ' .. page[1] end
call('HDEL', K.counted, ' counting')
return ''
