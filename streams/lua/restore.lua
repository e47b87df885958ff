#!lua
-- restore: put entries of a log that was kept elsewhere into an empty log: at the positions, with the versions and links
-- that they had. Nothing is routed into inboxes. Repeated, or by another process, it goes on where it was cut off.
-- Without entries it makes an empty log this restore's.
-- KEYS[1]  the log
-- ARGV     1 what is restored (JSON; the same for all of its calls), 2 entry of the last one before these ('' = none
--          yet), 3 '1' = all of it is here, and notes are folded: it is done, 4 '1' = versions may be missing; then for
--          each entry its place and either 'e', type, subject, version, meta and data, or the number of words of an entry
--          that is no event of Roost's, and these, fields and values in turn
-- Answer   'ok' | 'at' entry  it has come so far already: go on behind that, or end
--          'done'             it was ended before
--          'gap' entry        the event there does not follow upon the one before it of its subject
--          'other' what       the log has entries that are not this restore's; what it is of, '' if of none: the same as
--                             argument 1 when somebody has written behind what came
--          'held'             a projection is put in its place: ask again

local what, lenient = ARGV[1], ARGV[4] == '1'
local known = call('HMGET', K.meta, 'restored', 'restoring', 'imported')
local last = call('XREVRANGE', K.log, '+', '-', 'COUNT', 1)[1]
last = last and last[1] or ''
if known[1] == what and known[2] == 'done' then
  touch()
  return { 'done' }
end
local is_empty = last == '' and known[2] ~= 'done' and not known[3] and call('EXISTS', K.versions) == 0
  and call('HEXISTS', K.meta, 'horizon') == 0
if known[1] ~= what and not is_empty then return { 'other', known[1] or '' } end
if not is_empty and known[2] ~= last then return { 'other', known[1] } end -- somebody has written behind what came
if ARGV[2] ~= last then return { 'at', last } end
if is_held() then return { 'held' } end

-- A log goes up, and a server keeps numbers exactly only so far.
local function place_of(entry)
  local ms, seq = string.match(entry, '^(%d+)-(%d+)$')
  ms, seq = tonumber(ms), tonumber(seq)
  if not ms or ms >= 9007199254740992 or seq >= 9007199254740992 then error('no place in a log: ' .. entry) end
  return ms, seq
end

-- Of an entry that is no event of Roost's but looks like one, its subject and version. Scripts have written it if these
-- follow; then others follow upon it.
local function seems(first)
  if ARGV[first] == 'type' and ARGV[first + 2] == 'subject' and ARGV[first + 4] == 'ver' and ARGV[first + 6] == 'meta'
    and ARGV[first + 8] == 'data' then return ARGV[first + 3], tonumber(ARGV[first + 5]) end
end

-- 1. All of it fits, before anything is written. The version and the last entry of each subject as they will be.
local versions, entries = {}, {}
local function stands(subject)
  if not versions[subject] then versions[subject], entries[subject] = version_of(subject) end
  return versions[subject], entries[subject]
end

local ms, seq, i = 0, 0, 5
if last ~= '' then ms, seq = place_of(last) end
local previous = {} -- of each event, by where its words begin
while i <= #ARGV do
  local entry = ARGV[i]
  local next_ms, next_seq = place_of(entry)
  if next_ms < ms or (next_ms == ms and next_seq <= seq) then error('not in order: ' .. entry) end
  ms, seq = next_ms, next_seq
  if ARGV[i + 1] == 'e' then
    local subject, version = ARGV[i + 3], tonumber(ARGV[i + 4])
    local before, at = stands(subject)
    -- Versions of a subject that was over began anew, when its events had left the log.
    if version ~= before + 1 and version ~= 1 and not lenient then return { 'gap', entry } end
    previous[i] = version ~= 1 and at or ''
    versions[subject], entries[subject] = version, entry
    i = i + 7
  else
    local subject, version = seems(i + 2)
    if subject and version == stands(subject) + 1 then versions[subject], entries[subject] = version, entry end
    i = i + 2 + tonumber(ARGV[i + 1])
  end
end

-- 2. Now it is.
i = 5
while i <= #ARGV do
  last = ARGV[i]
  if ARGV[i + 1] == 'e' then
    if previous[i] == '' then
      call('XADD', K.log, last, 'type', ARGV[i + 2], 'subject', ARGV[i + 3], 'ver', ARGV[i + 4], 'meta', ARGV[i + 5],
        'data', ARGV[i + 6])
    else
      call('XADD', K.log, last, 'type', ARGV[i + 2], 'subject', ARGV[i + 3], 'ver', ARGV[i + 4], 'meta', ARGV[i + 5],
        'data', ARGV[i + 6], 'prev', previous[i])
    end
    i = i + 7
  else
    local words = tonumber(ARGV[i + 1])
    call('XADD', K.log, last, unpack(ARGV, i + 2, i + 1 + words))
    i = i + 2 + words
  end
end
for subject, version in pairs(versions) do
  if version > 0 then store_version(subject, version, entries[subject]) end
end
call('HSET', K.meta, 'restored', what, 'restoring', ARGV[3] == '1' and 'done' or last)
return { 'ok' }
