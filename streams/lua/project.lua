#!lua
-- project: rows that a projection has folded and how far it has come, in one step. Whoever folded from elsewhere than
-- where the view stands now is refused: two who fold at once fold nothing twice.
-- KEYS[1]  the log
-- ARGV     1 view, 2 its standing as it was read ('' = it has none), 3 its standing from now on,
--          4 number of rows, then key and JSON of each ('' takes it away),
--          then what could not be folded, JSON of each
-- Answer   'ok' | 'stale' standing

local view = ARGV[1]
local stands = call('HGET', K.views, view) or ''
if stands ~= ARGV[2] then return { 'stale', stands } end
local rows, order = K.view .. view, K.order .. view
local count = tonumber(ARGV[4])
for i = 5, 4 + 2 * count, 2 do
  local key, row = ARGV[i], ARGV[i + 1]
  if row == '' then
    if call('HDEL', rows, key) == 1 then call('ZREM', order, key) end
  elseif call('HSET', rows, key, row) == 1 then
    call('ZADD', order, 0, key)
  end
end
for i = 5 + 2 * count, #ARGV do call('XADD', K.poison .. view, 'MAXLEN', '~', 1000, '*', 'failure', ARGV[i]) end
call('HSET', K.views, view, ARGV[3])
return { 'ok' }
