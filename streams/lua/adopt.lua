#!lua
-- adopt: take events of another flock into an empty log, at the entries that they had there, as one import's own. Their
-- versions are counted anew, for only a part of each subject's events may come. Nothing is routed into inboxes.
-- Repeated, or by another process, it goes on where it was cut off. Without events it makes an empty log this import's.
-- KEYS[1]  the log
-- ARGV     1 what the import is (JSON; the same for all of its calls), 2 entry of the last event before these ('' = none
--          yet), 3 '1' = all of it is here, and notes are folded: it is done; then for each event entry, subject, type,
--          meta, data
-- Answer   'ok' | 'at' entry  it has come so far already: go on behind that, or end
--          'done'             it was ended before
--          'other' import     the log has events that are not this import's; import is what it is of, '' if of none: the
--                             same as argument 1 when somebody has written behind what came
--          'held'             a projection is put in its place: ask again

local known = call('HMGET', K.meta, 'imported', 'adopted')
local last = call('XREVRANGE', K.log, '+', '-', 'COUNT', 1)[1]
last = last and last[1] or ''
if known[1] ~= ARGV[1] then
  local is_empty = last == '' and call('EXISTS', K.versions) == 0 and call('HEXISTS', K.meta, 'horizon') == 0
  if known[1] or not is_empty then return { 'other', known[1] or '' } end
elseif known[2] == 'done' then
  touch()
  return { 'done' }
elseif known[2] ~= last then
  return { 'other', known[1] } -- somebody has written behind what came
end
if ARGV[2] ~= last then return { 'at', last } end
if is_held() then return { 'held' } end

-- A log goes up, and a server keeps numbers exactly only so far.
local function place_of(entry)
  local ms, seq = string.match(entry, '^(%d+)-(%d+)$')
  ms, seq = tonumber(ms), tonumber(seq)
  if not ms or ms >= 9007199254740992 or seq >= 9007199254740992 then error('no place in a log: ' .. entry) end
  return ms, seq
end

local ms, seq = 0, 0
if last ~= '' then ms, seq = place_of(last) end
for i = 4, #ARGV, 5 do
  local next_ms, next_seq = place_of(ARGV[i])
  if next_ms < ms or (next_ms == ms and next_seq <= seq) then error('not in order: ' .. ARGV[i]) end
  ms, seq = next_ms, next_seq
end

for i = 4, #ARGV, 5 do
  local subject = ARGV[i + 1]
  local version, previous = version_of(subject)
  if previous == '' then
    call('XADD', K.log, ARGV[i], 'type', ARGV[i + 2], 'subject', subject, 'ver', version + 1, 'meta', ARGV[i + 3],
      'data', ARGV[i + 4])
  else
    call('XADD', K.log, ARGV[i], 'type', ARGV[i + 2], 'subject', subject, 'ver', version + 1, 'meta', ARGV[i + 3],
      'data', ARGV[i + 4], 'prev', previous)
  end
  store_version(subject, version + 1, ARGV[i])
  last = ARGV[i]
end
call('HSET', K.meta, 'imported', ARGV[1], 'adopted', ARGV[3] == '1' and 'done' or last)
return { 'ok' }
