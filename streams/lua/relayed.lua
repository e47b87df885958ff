#!lua flags=allow-oom
-- relayed: take away what has come to another shard: all units of its outbox up to one of them, the first ones first:
-- whoever finds that one still there knows which have come.
-- KEYS[1]  the log
-- ARGV     1 the other shard, 2 name of that unit
-- Answer   how many were taken away, at most 100; 0 if that one is not there; -1 while the shard is held: ask again

local outbox, entry = K.outbox .. ARGV[1], string.match(ARGV[2], '^[^/]+')
if not entry then return 0 end
local last = call('XRANGE', outbox, entry, entry)[1]
if not last or entry .. '/' .. last[2][2] ~= ARGV[2] then return 0 end
if is_held() then return -1 end
local units = call('XRANGE', outbox, '-', entry, 'COUNT', 100)
for _, unit in ipairs(units) do
  for digest in string.gmatch(unit[2][6], '%x+') do unname_blob(digest) end
  call('XDEL', outbox, unit[1])
end
return #units
