#!lua
-- read: serve a live note by its ID or its key, and log that it was read, in one step.
-- KEYS[1]  the log
-- ARGV     1 routes generation, 2 'id' or 'key', 3 the ID or the key,
--          4 meta and 5 routes of note.read,
--          6 how the work was reused ('' = it was not), 7 meta and 8 routes of work.reused, 9 the key as JSON,
--          10 subject, 11 meta, 12 data and 13 routes of note.missed; subject '' = a miss is not logged,
--          14 '1' = the call is repeated: an earlier one may have been carried out, and logged, already
-- Answer   'note' id record digest size remaining_ms key entry work content   (remaining_ms '' = no deadline)
--          'missing' | 'routes' generation

if not routes_fit(ARGV[1]) then return stale_routes() end

local function find()
  local id = ARGV[2] == 'id' and ARGV[3] or redis.call('HGET', K.keys, ARGV[3])
  if not id then return nil end
  local note = redis.call('HMGET', K.note .. id, 'record', 'digest', 'size', 'deadline', 'key', 'entry', 'work')
  if not note[1] then return nil end
  local remaining = ''
  if note[4] ~= '' then
    remaining = tonumber(note[4]) - clock()
    if remaining <= 0 then return nil end -- past its deadline, whether or not the sweeper has come by
  end
  local content = redis.call('GET', K.blob .. note[2])
  if not content then return nil end
  return { 'note', id, note[1], note[2], note[3], remaining, note[5], note[6], note[7], content }
end

local repeated = ARGV[14] == '1'
local found = find()
if not found then
  if ARGV[10] ~= '' and not (repeated and has_appended(ARGV[10], ARGV[11])) then
    append_next(ARGV[10], 'note.missed', ARGV[11], ARGV[12], ARGV[13])
  end
  return { 'missing' }
end
local subject = 'note/' .. found[2]
if repeated and has_appended(subject, ARGV[4]) then return found end
append_next(subject, 'note.read', ARGV[4],
  '{"note":"' .. found[2] .. '","size":' .. found[5] .. ',"count":1}', ARGV[5])
if ARGV[6] ~= '' then
  append_next(subject, 'work.reused', ARGV[7],
    '{"note":"' .. found[2] .. '","key":' .. ARGV[9] .. ',"how":"' .. ARGV[6] .. '","work":'
      .. (found[9] == '' and 'null' or found[9]) .. '}', ARGV[8])
end
return found
