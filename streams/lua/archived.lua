#!lua flags=allow-oom
-- archived: the archive has come so far, and this is how its manifest can be told from another.
-- KEYS[1]  the log
-- ARGV     1 `archive` in meta as it was read ('' = none), 2 entry that the archive has come to, 3 JSON of its place and
--          manifest, 4 entry of the state that is stored there ('' = none)
-- Answer   'ok' | 'stale' mark

local known = call('HGET', K.meta, 'archive') or ''
if known ~= ARGV[1] and known ~= ARGV[3] then return { 'stale', call('HGET', K.marks, 'archive') or '' } end
call('HSET', K.marks, 'archive', ARGV[2])
if ARGV[4] ~= '' then call('HSET', K.marks, 'state', ARGV[4]) end
call('HSET', K.meta, 'archive', ARGV[3])
return { 'ok' }
