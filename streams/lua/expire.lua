#!lua
-- expire: notes past their deadline leave the projection, each with an event. Their blobs stay with the log.
-- KEYS[1]  the log
-- ARGV     1 routes generation, 2 most notes to take, 3 first 16 digits of the events' IDs, 4 routes of note.expired
-- Answer   how many expired | 'routes' generation

if not routes_fit(ARGV[1]) then
  return { 'routes', redis.call('HGET', K.meta, 'generation') or '' }
end
local now = clock()
local due = redis.call('ZRANGE', K.deadlines, '-inf', now, 'BYSCORE', 'LIMIT', 0, tonumber(ARGV[2]))
for i, id in ipairs(due) do
  local note = redis.call('HMGET', K.note .. id, 'digest', 'deadline')
  local meta = string.format('{"id":"%s%08x","time":%d}', ARGV[3], i, now)
  local data = string.format('{"note":"%s","digest":"%s","deadline":%s}', id, note[1] or '', note[2] or 'null')
  append_next('note/' .. id, 'note.expired', meta, data, ARGV[4])
  drop_note(id)
end
return #due
