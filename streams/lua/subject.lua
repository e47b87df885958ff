#!lua flags=no-writes
-- subject: events of one subject, newest first: each names the one before it, so no index is kept.
-- KEYS[1]  the log
-- ARGV     1 subject, 2 entry to start from ('' = its last), 3 most events
-- Answer   stream entries

local entry = ARGV[2]
if entry == '' then
  local _
  _, entry = version_of(ARGV[1])
end
local found = {}
while entry and entry ~= '' and #found < tonumber(ARGV[3]) do
  local event = redis.call('XRANGE', K.log, entry, entry)[1]
  if not event then -- trimmed: older events are in the archive, but for the last one of those that must be at hand
    local kept = redis.call('HGET', K.last, ARGV[1])
    event = kept and cjson.decode(kept)
    if not event or event[1] ~= entry then break end
  end
  found[#found + 1] = event
  entry = event[2][11] == 'prev' and event[2][12] or ''
end
return found
