#!lua flags=allow-oom
-- bridge: a bridge keeps its hold on the shard, says how far it has come, and asks whether what it read still stands.
-- In a flock that is more durable than memory the call is confirmed, and with it all that was in the log before.
-- KEYS[1]  the log
-- ARGV     1 bridge, 2 who, 3 lease ms; 0 gives it up, 4 entry that it has come to, a space, and how many events there
--          are up to it ('' = no news, '-' = it is given up and nothing waits for it any more), then entries that it has read
-- Answer   'ok' epoch horizon, then for each of those entries '+' and its meta, or '-': it is not in the log
--          'taken' who       another has the hold
--          'none'            there is no such flock, or none any more

local epoch = call('HGET', K.meta, 'epoch')
if not epoch then return { 'none' } end
local lease = K.lease .. ARGV[1]
local holder = call('GET', lease)
if holder and holder ~= ARGV[2] then return { 'taken', holder } end
if ARGV[3] == '0' then
  call('DEL', lease)
else
  call('SET', lease, ARGV[2], 'PX', ARGV[3])
end
if ARGV[4] == '-' then
  call('HDEL', K.marks, ARGV[1])
elseif ARGV[4] ~= '' then
  call('HSET', K.marks, ARGV[1], ARGV[4])
else
  call('HSETNX', K.marks, ARGV[1], '0-0')
end
touch()
local answer = { 'ok', epoch, call('HGET', K.meta, 'horizon') or '' }
for i = 5, #ARGV do
  local found = call('XRANGE', K.log, ARGV[i], ARGV[i])[1]
  local told = '-'
  if found then
    told = '+'
    for j = 1, #found[2], 2 do
      if found[2][j] == 'meta' then told = '+' .. found[2][j + 1] end
    end
  end
  answer[#answer + 1] = told
end
return answer
