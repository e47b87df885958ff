#!lua
-- forget: remove a note's content at once, everywhere the shard holds it, and tell every process.
-- An expired note has left the projection; the event of its expiry still names its blob.
-- KEYS[1]  the log
-- ARGV     1 routes generation, 2 note ID, 3 meta, 4 data and 5 routes of note.forgotten
-- Answer   'forgotten' | 'missing' | 'routes' generation

if not routes_fit(ARGV[1]) then
  return { 'routes', redis.call('HGET', K.meta, 'generation') or '' }
end
local subject = 'note/' .. ARGV[2]
local digest = redis.call('HGET', K.note .. ARGV[2], 'digest')
if not digest then
  local _, entry = version_of(subject)
  local last = entry ~= '' and redis.call('XRANGE', K.log, entry, entry)[1]
  if not last or last[2][2] ~= 'note.expired' then return { 'missing' } end
  digest = cjson.decode(last[2][10])['digest']
end
append_next(subject, 'note.forgotten', ARGV[3], ARGV[4], ARGV[5])
drop_note(ARGV[2])
unname_blob(digest)
redis.call('SPUBLISH', K.bell, 'forgotten ' .. ARGV[2])
return { 'forgotten' }
