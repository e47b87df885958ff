#!lua flags=no-writes
-- room: how full inboxes are, for those who wait to append.
-- KEYS[1]  the log
-- ARGV     inboxes
-- Answer   for each inbox its length and its bound (-1 = none)

local rooms = {}
for i = 1, #ARGV do
  local limit = string.match(call('HGET', K.bounds, ARGV[i]) or '', '^(%d+) ')
  rooms[i] = { inbox_length(ARGV[i]), tonumber(limit or -1) }
end
return rooms
