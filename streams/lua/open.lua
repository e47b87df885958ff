#!lua flags=allow-oom
-- open: make the shard if it is new, and tell what a process must know of it before it writes.
-- KEYS[1]  the log
-- ARGV     1 format of the log that the caller writes, 2 settings of a new flock (JSON)
-- Answer   the meta hash, flat; then the routes hash, flat

if redis.call('EXISTS', K.meta) == 0 then
  local epoch = string.format('%d', clock()) -- it only rises: a log that starts anew starts later
  redis.call('HSET', K.meta, 'format', ARGV[1], 'epoch', epoch, 'changes', 0, 'generation', epoch .. ':0', 'settings', ARGV[2])
  redis.call('SPUBLISH', K.bell, 'epoch ' .. epoch)
end
is_held() -- one that is over ends
return { redis.call('HGETALL', K.meta), redis.call('HGETALL', K.routes) }
