#!lua flags=no-writes
-- standing: how an inbox stands, its lanes with it.
-- KEYS[1]  the log
-- ARGV     1 inbox
-- Answer   entries in it, of these given to workers, waiting in the timers, parked, its bound ('' = none), how many
--          milliseconds ago the oldest of its entries was put there (-1: it has none)

local inbox = ARGV[1]
local lanes = call('HMGET', K.lanes .. inbox, 'count', 'aside')
local names = { inbox }
for lane = 0, tonumber(lanes[1] or 0) - 1 do names[#names + 1] = lane .. '/' .. inbox end
local length, given, oldest = tonumber(lanes[2] or 0), 0, nil
for _, name in ipairs(names) do
  length = length + call('XLEN', K.inbox .. name)
  local pending = redis.pcall('XPENDING', K.inbox .. name, GROUP)
  if not pending.err then given = given + pending[1] end
  local first = call('XRANGE', K.inbox .. name, '-', '+', 'COUNT', 1)[1]
  local put = first and tonumber(string.match(first[1], '^%d+'))
  if put and (not oldest or put < oldest) then oldest = put end
end
return { length, given, call('ZCARD', K.timers .. inbox), call('XLEN', K.dead .. inbox), call('HGET', K.bounds, inbox) or '',
  oldest and math.max(0, clock() - oldest) or -1 }
