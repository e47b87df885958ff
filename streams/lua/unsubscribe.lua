#!lua flags=allow-oom
-- unsubscribe: take an inbox away. What is parked stays. An inbox with work in it stays too, unless a person says so.
-- KEYS[1]  the log
-- ARGV     1 inbox, 2 '1' to drop what it still holds
-- Answer   how many deliveries it still held; more than 0 without ARGV[2] = '1' means that it stays

local inbox = ARGV[1]
local lanes = redis.call('HMGET', K.lanes .. inbox, 'count', 'aside')
local names = { inbox }
for lane = 0, tonumber(lanes[1] or 0) - 1 do names[#names + 1] = lane .. '/' .. inbox end
local left = redis.call('ZCARD', K.timers .. inbox) + tonumber(lanes[2] or 0)
for _, name in ipairs(names) do left = left + redis.call('XLEN', K.inbox .. name) end
if left > 0 and ARGV[2] ~= '1' then return left end
for _, name in ipairs(names) do
  for _, key in ipairs(redis.call('HKEYS', K.stalled .. name)) do redis.call('DEL', K.aside .. name .. '/' .. key) end
  redis.call('DEL', K.inbox .. name, K.stalled .. name, K.tries .. name)
end
redis.call('DEL', K.timers .. inbox, K.waiting .. inbox, K.lanes .. inbox, K.crew .. inbox, K.news .. inbox)
redis.call('HDEL', K.bounds, inbox)
if redis.call('HDEL', K.routes, inbox) == 1 then
  raise_generation()
end
return left
