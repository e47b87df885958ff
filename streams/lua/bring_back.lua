#!lua flags=allow-oom
-- bring_back: deliveries that were set aside go to the end of their lane, the first ones first, and a mark behind them. When
-- the mark is met, all before it are done, and the next ones come; or, when there are none, the key is stalled no longer.
-- Only the last mark counts, so that a repeat of this call, or an old mark, does nothing.
-- KEYS[1]  the log
-- ARGV     1 inbox, 2 consumer, 3 lane, 4 generation, 5 key, 6 the entry of the mark that was met ('' = none is on its way),
--          7 most deliveries
-- Answer   how the key is stalled now ('' = no longer); '-': the lane is lost

local inbox, me, lane, key, met = ARGV[1], ARGV[2], ARGV[3], ARGV[5], ARGV[6]
if not owns_lane(inbox, lane, ARGV[4], me) then return '-' end
local name = lane .. '/' .. inbox
local stream, aside, stalled = K.inbox .. name, K.aside .. name .. '/' .. key, K.stalled .. name
if met ~= '' then
  call('XACK', stream, GROUP, met)
  call('XDEL', stream, met)
end
local how, mark, first = string.match(call('HGET', stalled, key) or '', '^(%a+) (%S+) (%S+)$')
if not how then return '' end
local as_it_is = how .. ' ' .. mark .. ' ' .. first
if how == 'halted' or mark ~= (met == '' and '-' or met) then return as_it_is end
local entries = call('XRANGE', aside, '-', '+', 'COUNT', tonumber(ARGV[7]))
if #entries == 0 and met ~= '' then
  call('HDEL', stalled, key)
  return ''
end
for _, entry in ipairs(entries) do
  call('XADD', stream, '*', 'back', '1', unpack(entry[2]))
  call('XDEL', aside, entry[1])
end
if #entries > 0 then call('HINCRBY', K.lanes .. inbox, 'aside', -#entries) end
if call('XLEN', aside) == 0 then call('DEL', aside) end
mark = call('XADD', stream, '*', 'back', 'end', 'key', key)
local now = 'open ' .. mark .. ' ' .. first
call('HSET', stalled, key, now)
return now
