#!lua flags=allow-oom
-- lease: one of the fleet does a job: take it if it is free, keep it if it is mine.
-- KEYS[1]  the log
-- ARGV     1 job, 2 who, 3 lease ms; 0 gives it up
-- Answer   1 if it is mine now, otherwise 0

local lease = K.lease .. ARGV[1]
local holder = redis.call('GET', lease)
if holder and holder ~= ARGV[2] then return 0 end
if ARGV[3] == '0' then
  redis.call('DEL', lease)
  return 0
end
redis.call('SET', lease, ARGV[2], 'PX', ARGV[3])
return 1
