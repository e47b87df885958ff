#!lua
-- refold_compare: which notes that are served differ from what was folded, a page of them. These are put right while the
-- shard is held; all others stay as they are, so that the hold is short and nothing is kept twice.
-- KEYS[1]  the log
-- ARGV     1 what ('notes' or 'both'), 2 cursor: '' = begin, also where another has compared before: what is served may
--          have been changed since; '?' = tell how far it is
-- Answer   'ok' cursor ('end' = all were compared) | 'spoiled'

local what, state, F = ARGV[1], K.refold .. ARGV[1], K.fresh .. ARGV[1] .. '/'
local stored = call('HMGET', state, 'base', 'phase', 'cursor')
local base = refold_base()
if stored[2] or stored[1] ~= base then return { 'spoiled' } end
if ARGV[2] ~= '' and ARGV[2] ~= stored[3] then return { 'ok', stored[3] or '' } end

local page = call('ZSCAN', F .. 'deadlines', ARGV[2] == '' and '0' or stored[3], 'COUNT', 200)
local ids, known_of = {}, {}
for i = 1, #page[2], 2 do ids[#ids + 1] = page[2][i] end
for first = 1, #ids, 500 do
  local last = math.min(first + 499, #ids)
  local known = call('HMGET', F .. 'index', unpack(ids, first, last))
  for i = first, last do known_of[i] = known[i - first + 1] end
end
for i, id in ipairs(ids) do
  local served = call('HMGET', K.note .. id, 'record', 'digest', 'size', 'deadline', 'key', 'entry', 'work')
  local note = known_of[i] and parse_indexed(known_of[i]) or {}
  if not (served[1] and served[7] and check_of(served[1], served[7]) == note.check and served[2] == note.digest
    and served[3] == note.size and served[4] == (note.deadline == '-' and '' or note.deadline)
    and served[5] == note.key and served[6] == note.entry) then
    call('SADD', F .. 'differing', id)
  end
end
local cursor = page[1] == '0' and 'end' or page[1]
call('HSET', state, 'cursor', cursor)
return { 'ok', cursor }
