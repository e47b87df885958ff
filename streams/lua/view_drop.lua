#!lua flags=allow-oom
-- view_drop: a version of a projection is no more: its rows, its order, what it could not fold, and where it stood.
-- KEYS[1]  the log
-- ARGV     1 name, 2 version, 3 '1' = even if readers get it
-- Answer   'dropped' | 'missing' | 'live'

local name, version = ARGV[1], ARGV[2]
local view = name .. '/' .. version
if call('HEXISTS', K.views, view) == 0 then return { 'missing' } end
if call('HGET', K.views, name) == version then
  if ARGV[3] ~= '1' then return { 'live' } end
  call('HDEL', K.views, name)
end
call('UNLINK', K.view .. view, K.order .. view, K.poison .. view)
call('HDEL', K.views, view)
return { 'dropped' }
