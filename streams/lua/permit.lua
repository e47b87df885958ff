#!lua
-- permit: let somebody call a model now, if the fleet's limits allow it; otherwise say for how long to wait.
-- A permit is a lease: it ends by itself when its process is gone. A repeat of the call gets the same permit.
-- KEYS[1]  the log
-- ARGV     1 model, or @ and an agent, 2 ID of the permit, 3 tokens that the call may take, 4 lease ms
-- Answer   'ok' | 'wait' ms why: 'pause' (the provider asked for it), 'concurrent', 'requests' or 'tokens'

local limits = limits_of(ARGV[1])
if not limits then return { 'ok' } end
local most_at_once, most_calls, most_tokens, window = string.match(limits, '^(%S+) (%S+) (%S+) (%d+)')
most_at_once, most_calls, most_tokens = tonumber(most_at_once), tonumber(most_calls), tonumber(most_tokens)
window = tonumber(window)
local permits, calls, usage = K.permits .. ARGV[1], K.calls .. ARGV[1], K.usage .. ARGV[1]
local id, tokens, now = ARGV[2], tonumber(ARGV[3]), clock()

-- 1. What is over: leases of those that are gone, calls that have left the window, with their tokens.
call('ZREMRANGEBYSCORE', permits, '-inf', now)
if call('ZSCORE', permits, id) then return { 'ok' } end
local spent = 0
for _, old in ipairs(call('ZRANGE', calls, '-inf', now - window, 'BYSCORE', 'LIMIT', 0, 1000)) do
  spent = spent + (call('HGET', usage, old) or 0)
  call('HDEL', usage, old)
  call('ZREM', calls, old)
end
local sum = spent > 0 and call('HINCRBY', usage, ' tokens', -spent) or tonumber(call('HGET', usage, ' tokens') or 0)
if sum ~= 0 and call('EXISTS', calls) == 0 then -- all have left, unseen, with their key: what they took left with them
  local kept, left = call('HMGET', usage, ' pause', ' next', ' until'), call('PTTL', usage)
  call('DEL', usage)
  for i, field in ipairs({ ' pause', ' next', ' until' }) do
    if kept[i] then call('HSET', usage, field, kept[i]) end
  end
  if left > 0 then call('PEXPIRE', usage, left) end
  sum = 0
end

-- 2. A pause that the provider has asked for; and whoever needs much waits first in line, or would never have its turn.
local stored = call('HMGET', usage, ' pause', ' next', ' until')
local pause = tonumber(stored[1] or 0) - now
if pause > 0 then return { 'wait', pause, 'pause' } end
local turn = tonumber(stored[3] or 0) - now
if stored[2] and stored[2] ~= id and turn > 0 then return { 'wait', math.min(turn, 1000), 'tokens' } end

-- 3. The limits.
if most_at_once and call('ZCARD', permits) >= most_at_once then
  local first = call('ZRANGE', permits, 0, 0, 'WITHSCORES')
  return { 'wait', math.max(1, tonumber(first[2]) - now), 'concurrent' }
end
local count = call('ZCARD', calls)
if most_calls and count >= most_calls then
  local leaves = call('ZRANGE', calls, count - most_calls, count - most_calls, 'WITHSCORES')
  return { 'wait', math.max(1, tonumber(leaves[2]) + window - now), 'requests' }
end
if most_tokens and sum > 0 and sum + tokens > most_tokens then
  local wait = window
  local left = sum
  local oldest = call('ZRANGE', calls, 0, 499, 'WITHSCORES')
  for i = 1, #oldest, 2 do
    left = left - (call('HGET', usage, oldest[i]) or 0)
    if left + tokens <= most_tokens or left <= 0 then
      wait = math.max(1, tonumber(oldest[i + 1]) + window - now)
      break
    end
  end
  -- Its place in line is kept until it asks again, which who lives does within five seconds, and a moment longer.
  call('HSET', usage, ' next', id, ' until', now + math.min(wait, 5000) + 1000)
  call('PEXPIRE', usage, 2 * window + 10000)
  return { 'wait', wait, 'tokens' }
end

-- 4. Take it.
if stored[2] == id then call('HDEL', usage, ' next', ' until') end
call('ZADD', permits, now + ARGV[4], id)
call('PEXPIRE', permits, math.max(tonumber(ARGV[4]), call('PTTL', permits)))
if most_calls or most_tokens then
  call('ZADD', calls, now, id)
  call('HSET', usage, id, tokens)
  call('HINCRBY', usage, ' tokens', tokens)
  call('PEXPIRE', calls, 2 * window)
  call('PEXPIRE', usage, math.max(2 * window + 10000, call('PTTL', usage)))
end
return { 'ok' }
