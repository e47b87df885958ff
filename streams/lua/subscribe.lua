#!lua
-- subscribe: make an inbox and route events to it, from now on. The routes' generation rises if anything changed.
-- KEYS[1]  the log
-- ARGV     1 inbox, 2 what it takes (JSON: types, run, limit, when_full),
--          3 its bound: '<most that it holds> <wait or refuse>', '' or nothing for none
-- Answer   the generation; '' if there is no shard: it must be opened first

if redis.call('EXISTS', K.meta) == 0 then return '' end
local made = redis.pcall('XGROUP', 'CREATE', K.inbox .. ARGV[1], GROUP, '0', 'MKSTREAM')
if made.err and not string.find(made.err, 'BUSYGROUP', 1, true) then return made end -- that one: it stands already
local bound = ARGV[3] or ''
if bound == '' then
  redis.call('HDEL', K.bounds, ARGV[1])
else
  redis.call('HSET', K.bounds, ARGV[1], bound)
end
if redis.call('HGET', K.routes, ARGV[1]) ~= ARGV[2] then
  redis.call('HSET', K.routes, ARGV[1], ARGV[2])
  raise_generation()
else
  touch()
end
return redis.call('HGET', K.meta, 'generation')
