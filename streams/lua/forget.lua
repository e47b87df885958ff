#!lua flags=allow-oom
-- forget: remove a note's content at once, everywhere the shard holds it, and tell every process.
-- An expired note has left the projection; the log still names its blob. A full server forgets, too.
-- KEYS[1]  the log
-- ARGV     1 routes generation, 2 note ID, 3 meta, 4 data and 5 routes of note.forgotten,
--          6 '1' = the call is repeated: an earlier one may have been carried out already
-- The event is told the content's digest and size as well: who has a copy elsewhere has to know which.
-- Answer   'forgotten' | 'missing' | 'routes' generation

if not routes_fit(ARGV[1]) then return stale_routes() end
local subject = 'note/' .. ARGV[2]
local note = redis.call('HMGET', K.note .. ARGV[2], 'digest', 'key')
local digest = note[1] or redis.call('HGET', K.expired, ARGV[2])
if not digest then
  touch()
  return { ARGV[6] == '1' and has_appended(subject, ARGV[3]) and 'forgotten' or 'missing' }
end
local known = string.format(',"digest":"%s","size":%d}', digest, redis.call('STRLEN', K.blob .. digest))
append_next(subject, 'note.forgotten', ARGV[3], string.sub(ARGV[4], 1, -2) .. known, ARGV[5])
drop_note(ARGV[2])
close_key(note[2])
redis.call('HDEL', K.expired, ARGV[2])
unname_blob(digest)
redis.call('SPUBLISH', K.bell, 'forgotten ' .. ARGV[2])
return { 'forgotten' }
