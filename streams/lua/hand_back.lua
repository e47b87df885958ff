#!lua flags=allow-oom
-- hand_back: a worker that stops gives up deliveries. They go back into the inbox as new entries, with the attempts that
-- they have behind them: whoever waits there has them at once, nothing is pending for who has left, and nobody need take
-- them for deliveries whose worker died.
-- KEYS[1]  the log
-- ARGV     1 inbox, 2 consumer, then entry, count and attempts behind it of each delivery
-- Answer   how many were handed back

-- The fields of an entry, with that many attempts behind it.
local function with_attempts(fields, attempts)
  local kept = {}
  for f = 1, #fields, 2 do
    if fields[f] ~= 'attempts' then
      kept[#kept + 1] = fields[f]
      kept[#kept + 1] = fields[f + 1]
    end
  end
  if attempts ~= '0' then
    kept[#kept + 1] = 'attempts'
    kept[#kept + 1] = attempts
  end
  return kept
end

local inbox, back = K.inbox .. ARGV[1], 0
for i = 3, #ARGV, 3 do
  if holds(ARGV[1], ARGV[2], ARGV[i], ARGV[i + 1]) then
    local found = redis.call('XRANGE', inbox, ARGV[i], ARGV[i])[1]
    if found then redis.call('XADD', inbox, '*', unpack(with_attempts(found[2], ARGV[i + 2]))) end
    redis.call('XACK', inbox, GROUP, ARGV[i])
    redis.call('XDEL', inbox, ARGV[i])
    redis.call('HDEL', K.tries .. ARGV[1], ARGV[i])
    back = back + 1
  end
end
return back
