#!lua
-- restate: put what its events make of a keyed actor's state in the place of what is stored, if neither has changed.
-- KEYS[1]  the log
-- ARGV     1 actor, 2 key, 3 what is stored ('' = nothing), 4 version of the subject that was folded, 5 what to store
--          ('' = nothing)
-- Answer   1 if it was done; 0 if somebody has written meanwhile

local version = version_of('actor/' .. ARGV[1] .. '/' .. ARGV[2])
if version ~= tonumber(ARGV[4]) or (call('HGET', K.state .. ARGV[1], ARGV[2]) or '') ~= ARGV[3] then return 0 end
if ARGV[5] == '' then
  call('HDEL', K.state .. ARGV[1], ARGV[2])
else
  call('HSET', K.state .. ARGV[1], ARGV[2], ARGV[5])
end
return 1
