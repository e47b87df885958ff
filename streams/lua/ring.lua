#!lua flags=allow-oom
-- ring: one of the fleet rings the timers: it gets the events whose time has come, the first ones first. They stay until
-- a unit of `write` appends them (part A), so a ringer that dies, or two at once, lose and double nothing.
-- KEYS[1]  the log
-- ARGV     1 who, 2 lease ms (0 gives it up), 3 most events, 4 most bytes of them (one is always given),
--          5 ms by which to put off the timers named from here on: what they go to has no room yet
-- Answer   '0' ms                    another rings, for so long at least
--          '1' ms [id due letter]…   ms until the next after these (-1: there is none); letter: JSON of subject, type,
--                                    meta and data

local lease = K.lease .. 'timers'
local holder = call('GET', lease)
if holder and holder ~= ARGV[1] then return { '0', call('PTTL', lease) } end
if ARGV[2] == '0' then
  call('DEL', lease)
  return { '0', 0 }
end
call('SET', lease, ARGV[1], 'PX', ARGV[2])

local now = clock()
for i = 6, #ARGV do call('ZADD', K.later, 'XX', now + tonumber(ARGV[5]), ARGV[i]) end
local most, left = tonumber(ARGV[3]), tonumber(ARGV[4])
local due = call('ZRANGE', K.later, '-inf', now, 'BYSCORE', 'LIMIT', 0, most + 1, 'WITHSCORES')
local answer, given = { '1', -1 }, 0
for i = 1, #due, 2 do
  local letter = call('HGET', K.letters, due[i])
  if not letter then
    call('ZREM', K.later, due[i]) -- somebody has deleted what it was to append
  elseif given == most or (given > 0 and #letter > left) then
    answer[2] = 0
    return answer
  else
    given, left = given + 1, left - #letter
    answer[#answer + 1], answer[#answer + 2], answer[#answer + 3] = due[i], due[i + 1], letter
  end
end
local following = call('ZRANGE', K.later, '(' .. now, '+inf', 'BYSCORE', 'LIMIT', 0, 1, 'WITHSCORES')
if following[2] then answer[2] = math.ceil(tonumber(following[2]) - now) end
return answer
