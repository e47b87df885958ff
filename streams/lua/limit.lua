#!lua
-- limit: what the whole fleet may ask of a model, from now on. Every process learns of it before its next append.
-- KEYS[1]  the log
-- ARGV     1 model, 2 its limits: '<calls at once> <calls a window> <tokens a window> <window ms>', '-' for any number;
--          '' takes them away, 3 '1' = only if it has none
-- Answer   1 if that changed anything, otherwise 0

local field = 'limits:' .. ARGV[1]
local before = call('HGET', K.meta, field)
if before == ARGV[2] or (ARGV[3] == '1' and before) or (ARGV[2] == '' and not before) then return 0 end
if ARGV[2] == '' then
  call('HDEL', K.meta, field)
  call('DEL', K.permits .. ARGV[1], K.calls .. ARGV[1], K.usage .. ARGV[1])
else
  call('HSET', K.meta, field, ARGV[2])
end
raise_generation()
return 1
