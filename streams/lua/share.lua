#!lua flags=allow-oom
-- share: how much of an agent's limits one shard of several may use. What one does not need is taken from it, and given to
-- another: first taken, then given, so that all together never have more than the limit. Limits that are set again begin
-- with new shares: what was taken from the old ones is given to nobody.
-- KEYS[1]  the log
-- ARGV     1 agent, 2 'look', or 'take' down to 3 notes and 4 bytes, or 'give' 3 notes and 4 bytes, 5 the name of the
--          limits whose shares these are
-- Answer   'look': notes, bytes that it may have ('-' = any number), notes, bytes that it has, name of the limits
--          'take', 'give': notes, bytes that were taken or given; 'none': its limits are others by now, or there are none

local one = standing_of(ARGV[1])
if not one.name then return { 'none' } end
if ARGV[2] == 'look' then
  local function text(number) return number == math.huge and '-' or format('%.0f', number) end
  return { text(one.notes), text(one.bytes), format('%.0f', one.has_notes), format('%.0f', one.has_bytes), one.name }
end
if one.name ~= ARGV[5] then return { 'none' } end
local notes, bytes = tonumber(ARGV[3]), tonumber(ARGV[4])
if ARGV[2] == 'take' then
  notes = math.max(0, one.notes - math.max(notes, one.has_notes))
  bytes = math.max(0, one.bytes - math.max(bytes, one.has_bytes))
  if notes == math.huge then notes = 0 end
  if bytes == math.huge then bytes = 0 end
  change_share(ARGV[1], -notes, -bytes)
else
  change_share(ARGV[1], notes, bytes)
end
return { format('%.0f', notes), format('%.0f', bytes) }
