#!lua flags=allow-oom
-- permit_return: a model's call has ended: another may be made, and what it took in truth counts from now on.
-- KEYS[1]  the log
-- ARGV     1 model, or @ and an agent, 2 ID of the permit, 3 tokens that the call took ('' = as many as was thought),
--          4 ms for which the provider wants to be left alone (0 = it does not)
-- Answer   1 if the permit was still there, otherwise 0

local usage, calls = K.usage .. ARGV[1], K.calls .. ARGV[1]
-- Some calls are quicker on their way than others. When this one came to the provider nobody knows, but not after its
-- end: it counts from there, or from a twentieth of the window after it was let go.
local begun = call('ZSCORE', calls, ARGV[2])
local window = begun and string.match(limits_of(ARGV[1]) or '', '^%S+ %S+ %S+ (%d+)')
if window then call('ZADD', calls, 'XX', math.floor(math.min(clock(), begun + window / 20)), ARGV[2]) end
if ARGV[3] ~= '' then
  local thought = call('HGET', usage, ARGV[2]) -- nil when it has left the window
  if thought then
    call('HSET', usage, ARGV[2], ARGV[3])
    call('HINCRBY', usage, ' tokens', ARGV[3] - thought)
  end
end
if ARGV[4] ~= '0' then
  local ends = clock() + ARGV[4]
  if ends > tonumber(call('HGET', usage, ' pause') or 0) then call('HSET', usage, ' pause', ends) end
  call('PEXPIRE', usage, math.max(tonumber(ARGV[4]) + 10000, call('PTTL', usage)))
end
return call('ZREM', K.permits .. ARGV[1], ARGV[2])
