#!lua flags=no-writes
-- parked: a page of the deliveries that are parked, in whatever inbox, with their fields.
-- KEYS[1]  the log
-- ARGV     1 the cursor that the page before has answered ('' = from the beginning), 2 most deliveries,
--          3 actor whose deliveries to answer ('' = any), 4 '1' = those parked last come first
-- Answer   the next cursor ('' = there is no more); for each delivery: its member of the index, its fields

local PAGE, MAX_LOOKED_AT, MAX_BYTES = 100, 5000, 1048576
local most, actor, reverse = tonumber(ARGV[2]), ARGV[3], ARGV[4] == '1'

-- The place of the cursor's member, or where it would stand: meanwhile it may have been taken out.
local rank, cursor_time, cursor_member = 0, nil, nil
if ARGV[1] ~= '' then
  cursor_time, cursor_member = string.match(ARGV[1], '^(%d+) (.*)$')
  if reverse then
    rank = call('ZCOUNT', K.parked, '(' .. cursor_time, '+inf')
  else
    rank = call('ZCOUNT', K.parked, '-inf', '(' .. cursor_time)
  end
end

local function was_before(member, time)
  if time ~= cursor_time then return false end
  return reverse and member >= cursor_member or not reverse and member <= cursor_member
end

local function is_wanted(inbox)
  return actor == '' or inbox == actor or string.sub(inbox, 1, #actor + 1) == actor .. '@'
end

local found, size, looked_at, cursor = {}, 0, 0, ''
while looked_at < MAX_LOOKED_AT do
  local page
  if reverse then
    page = call('ZRANGE', K.parked, rank, rank + PAGE - 1, 'REV', 'WITHSCORES')
  else
    page = call('ZRANGE', K.parked, rank, rank + PAGE - 1, 'WITHSCORES')
  end
  for i = 1, #page, 2 do
    local member, time = page[i], format('%d', page[i + 1])
    local inbox, entry = string.match(member, ' (%S+) (%S+)$')
    if not was_before(member, time) and is_wanted(inbox) then
      local parked = call('XRANGE', K.dead .. inbox, entry, entry)[1]
      if parked then
        found[#found + 1] = { member, parked[2] }
        for _, word in ipairs(parked[2]) do size = size + #word end
      end
      if #found >= most or size >= MAX_BYTES then return { time .. ' ' .. member, found } end
    end
    cursor = time .. ' ' .. member
  end
  if #page < PAGE * 2 then return { '', found } end
  rank, looked_at = rank + PAGE, looked_at + PAGE
end
return { cursor, found }
