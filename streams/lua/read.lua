#!lua
-- read: serve a live note by its ID or its key, and log that it was read, in one step.
-- KEYS[1]  the log
-- ARGV     1 routes generation, 2 'id' or 'key', 3 the ID or the key,
--          4 meta and 5 routes of note.read,
--          6 subject and 7 routes of note.missed; subject '' = a miss is not logged,
--          8 how the work was reused ('' = it was not), 9 meta and 10 routes of work.reused,
--          11 most bytes to answer ('' = any number): one call must not keep many others waiting,
--          12 '1' = the call is repeated: an earlier one may have been carried out, and logged, already
-- Answer   'note' remaining_ms record entry work content   (remaining_ms '' = no deadline)
--          'missing' | 'large' | 'routes' generation       ('large': nothing has been read)

if not routes_fit(ARGV[1]) then
  -- prelude: hold_of, raise_generation, end_hold, is_held, stale_routes
  return stale_routes()
end
local by, ident, meta, how, repeated = ARGV[2], ARGV[3], ARGV[4], ARGV[8], ARGV[12] == '1'
local id = ident
if by == 'key' then id = call('HGET', K.keys, ident) end
local record, digest, size, deadline, entry, work, content
local remaining, live = '', false
if id then
  local note = call('HMGET', K.note .. id, 'record', 'digest', 'size', 'deadline', 'entry', 'work')
  record, digest, size, deadline, entry, work = note[1], note[2], note[3], note[4], note[5], note[6]
  live = record and true
  if live and deadline ~= '' then
    remaining = tonumber(deadline) - clock()
    live = remaining > 0 -- past it the note is gone, whether or not the sweeper has come by
  end
  if live and ARGV[11] ~= '' and tonumber(size) > tonumber(ARGV[11]) then return { 'large' } end
  content = live and call('GET', K.blob .. digest)
end
if not content then
  local reader = ARGV[6]
  if reader ~= '' then
    -- The ID of the read that did not happen, backwards: this is another event, and the same one at a repeat.
    meta = string.gsub(meta, '^{"id":"(%x+)"', function(of) return '{"id":"' .. string.reverse(of) .. '"' end)
    if not (repeated and has_appended(reader, meta)) then
      local named = by == 'id' and 'note' or 'key'
      append_next(reader, 'note.missed', meta, '{"' .. named .. '":' .. cjson.encode(ident) .. '}', ARGV[7])
    end
  end
  return { 'missing' }
end
local subject = 'note/' .. id
if not (repeated and has_appended(subject, meta)) then
  append_next(subject, 'note.read', meta, '{"note":"' .. id .. '","size":' .. size .. ',"count":1}', ARGV[5])
  if how ~= '' then
    append_next(subject, 'work.reused', ARGV[9],
      '{"note":"' .. id .. '","key":' .. cjson.encode(ident) .. ',"how":"' .. how .. '","work":'
        .. (work == '' and 'null' or work) .. '}', ARGV[10])
  end
end
return { 'note', remaining, record, entry, work, content }
