#!lua
-- subscribe: make an inbox and route events to it, from now on. The routes' generation rises if anything changed.
-- KEYS[1]  the log
-- ARGV     1 inbox, 2 what it takes (JSON: types, run)
-- Answer   the generation

redis.pcall('XGROUP', 'CREATE', K.inbox .. ARGV[1], GROUP, '0', 'MKSTREAM') -- BUSYGROUP: it stands already
if redis.call('HGET', K.routes, ARGV[1]) ~= ARGV[2] then
  redis.call('HSET', K.routes, ARGV[1], ARGV[2])
  local changes = redis.call('HINCRBY', K.meta, 'changes', 1)
  redis.call('HSET', K.meta, 'generation', redis.call('HGET', K.meta, 'epoch') .. ':' .. string.format('%d', changes))
end
return redis.call('HGET', K.meta, 'generation')
