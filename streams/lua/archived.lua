#!lua
-- archived: the archive has come so far, and this is how its manifest can be told from another.
-- KEYS[1]  the log
-- ARGV     1 the mark as it was read ('' = none), 2 entry that the archive has come to, 3 JSON of its place and manifest
-- Answer   'ok' | 'stale' mark

local mark = call('HGET', K.marks, 'archive') or ''
if mark ~= ARGV[1] and not (mark == ARGV[2] and call('HGET', K.meta, 'archive') == ARGV[3]) then return { 'stale', mark } end
call('HSET', K.marks, 'archive', ARGV[2])
call('HSET', K.meta, 'archive', ARGV[3])
return { 'ok' }
