#!lua flags=allow-oom
-- unsubscribe: take an inbox away. What is parked stays. An inbox with work in it stays too, unless a person says so.
-- KEYS[1]  the log
-- ARGV     1 inbox, 2 '1' to drop what it still holds
-- Answer   how many deliveries it still held; more than 0 without ARGV[2] = '1' means that it stays

local left = redis.call('XLEN', K.inbox .. ARGV[1]) + redis.call('ZCARD', K.timers .. ARGV[1])
if left > 0 and ARGV[2] ~= '1' then return left end
redis.call('DEL', K.inbox .. ARGV[1], K.timers .. ARGV[1], K.waiting .. ARGV[1], K.tries .. ARGV[1])
redis.call('HDEL', K.bounds, ARGV[1])
if redis.call('HDEL', K.routes, ARGV[1]) == 1 then
  raise_generation()
end
return left
