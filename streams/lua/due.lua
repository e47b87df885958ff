#!lua flags=allow-oom
-- due: deliveries whose time has come go back into their inbox, with the attempts they have behind them.
-- KEYS[1]  the log
-- ARGV     1 inbox, 2 most deliveries to move
-- Answer   how many were moved; ms until the next is due, or -1 when none waits

local timers, waiting = K.timers .. ARGV[1], K.waiting .. ARGV[1]
local now = clock()
local due = redis.call('ZRANGE', timers, '-inf', now, 'BYSCORE', 'LIMIT', 0, tonumber(ARGV[2]))
for _, entry in ipairs(due) do
  local fields = redis.call('HGET', waiting, entry)
  if fields then redis.call('XADD', K.inbox .. ARGV[1], '*', unpack(cjson.decode(fields))) end
  redis.call('ZREM', timers, entry)
  redis.call('HDEL', waiting, entry)
end
local first = redis.call('ZRANGE', timers, 0, 0, 'WITHSCORES')
return { #due, first[2] and math.max(0, tonumber(first[2]) - now) or -1 }
