#!lua flags=allow-oom
-- expire: notes past their deadline leave the projection, each with an event. Their blobs stay as long as the log has
-- the events that name them.
-- KEYS[1]  the log
-- ARGV     1 routes generation, 2 most notes to take, 3 routes of note.expired
-- Answer   how many expired | 'routes' generation

if not routes_fit(ARGV[1]) then return stale_routes() end
local now = clock()
local due = redis.call('ZRANGE', K.deadlines, '-inf', now, 'BYSCORE', 'LIMIT', 0, tonumber(ARGV[2]))
for _, id in ipairs(due) do
  local note = redis.call('HMGET', K.note .. id, 'digest', 'deadline', 'entry', 'key')
  if note[1] then
    local event_id = string.sub(redis.sha1hex('expired ' .. id .. ' ' .. note[2]), 1, 24)
    local meta = string.format('{"id":"%s","time":%d}', event_id, now)
    local data = string.format('{"note":"%s","digest":"%s","deadline":%s}', id, note[1], note[2])
    append_next('note/' .. id, 'note.expired', meta, data, ARGV[3])
    if is_trimmed(note[3]) then
      unname_blob(note[1])
    else
      redis.call('HSET', K.expired, id, note[1]) -- forget finds its blob here
    end
  end
  drop_note(id)
  close_key(note[4])
end
return #due
