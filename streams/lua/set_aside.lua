#!lua flags=allow-oom
-- set_aside: deliveries of a key that cannot go on wait apart, in order, so that they take no other key's place. From the
-- first of them on, all later ones of the key are to follow.
-- KEYS[1]  the log
-- ARGV     1 inbox, 2 consumer, 3 lane, 4 generation, 5 key; then the entries, in order
-- Answer   how the key is stalled ('' = it is not: nothing was set aside); '-': the lane is lost

local inbox, me, lane, key = ARGV[1], ARGV[2], ARGV[3], ARGV[5]
if not owns_lane(inbox, lane, ARGV[4], me) then return '-' end
local name = lane .. '/' .. inbox
local stream, first, moved = K.inbox .. name, nil, 0
for i = 6, #ARGV do
  local held = call('XPENDING', stream, GROUP, ARGV[i], ARGV[i], 1, me)[1]
  local entry = held and call('XRANGE', stream, ARGV[i], ARGV[i])[1]
  if entry then
    call('XADD', K.aside .. name .. '/' .. key, '*', unpack(entry[2]))
    call('XACK', stream, GROUP, ARGV[i])
    call('XDEL', stream, ARGV[i])
    call('HDEL', K.tries .. name, ARGV[i])
    first, moved = first or ARGV[i], moved + 1
  end
end
if moved > 0 then
  call('HINCRBY', K.lanes .. inbox, 'aside', moved)
  call('HSETNX', K.stalled .. name, key, 'open - ' .. first)
end
return call('HGET', K.stalled .. name, key) or ''
