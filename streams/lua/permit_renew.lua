#!lua flags=allow-oom
-- permit_renew: these calls of models go on.
-- KEYS[1]  the log
-- ARGV     1 lease ms, then model and ID of each permit
-- Answer   for each permit 1, or 0 if it has ended

local kept, ends = {}, clock() + ARGV[1]
for i = 2, #ARGV, 2 do
  local permits = K.permits .. ARGV[i]
  kept[#kept + 1] = call('ZSCORE', permits, ARGV[i + 1]) and 1 or 0
  if kept[#kept] == 1 then
    call('ZADD', permits, ends, ARGV[i + 1])
    call('PEXPIRE', permits, math.max(tonumber(ARGV[1]), call('PTTL', permits)))
  end
end
return kept
