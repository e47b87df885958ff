#!lua flags=allow-oom
-- lanes_keep: a worker of a keyed actor says that it lives, keeps its lanes, and takes free ones up to its share. All
-- workers have the same share, one lane more or less; who comes or goes is announced, so that the others look, too.
-- KEYS[1]  the log
-- ARGV     1 inbox, 2 consumer, 3 lease ms, 4 number of lanes
-- Answer   'ok', lanes to give up, generation of the front ('0': it is another's), the last news; then lane and generation
--          of each lane that it has | 'lanes' number (the inbox was made with another) | 'gone': there is no inbox

local inbox, me, lease, count = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
if call('EXISTS', K.inbox .. inbox) == 0 then return { 'gone' } end
local made = call('HGET', K.lanes .. inbox, 'count')
if made and tonumber(made) ~= count then return { 'lanes', made } end
local now = clock()
local till, crew, changed = now + lease, K.crew .. inbox, not made
if not made then call('HSET', K.lanes .. inbox, 'count', count) end

-- 1. Who is there.
if call('ZREMRANGEBYSCORE', crew, '-inf', now) > 0 then changed = true end
if call('ZADD', crew, till, me) == 1 then changed = true end
local members = call('ZRANGE', crew, 0, -1)
table.sort(members)
local share = math.floor(count / #members)
for rank = 1, count % #members do
  if members[rank] == me then share = share + 1 end
end

-- 2. What I have stays mine, also past its lease, if nobody has taken it; what is free I may take.
local mine, free = {}, {}
for lane = 0, count - 1 do
  local generation, ends, owner = lane_of(inbox, lane)
  if owner == me then
    store_lane(inbox, lane, generation, till, me)
    mine[#mine + 1] = { lane, generation }
  elseif owner == '' or ends <= now then
    free[#free + 1] = { lane, generation + 1 }
  end
end
local surplus = math.max(0, #mine - share)
for i = 1, math.min(#free, share - #mine) do
  store_lane(inbox, free[i][1], free[i][2], till, me)
  local group = redis.pcall('XGROUP', 'CREATE', K.inbox .. free[i][1] .. '/' .. inbox, GROUP, '0', 'MKSTREAM')
  if group.err and not string.find(group.err, 'BUSYGROUP', 1, true) then return group end -- that one: it stands already
  mine[#mine + 1], changed = free[i], true
end

-- 3. One of them sorts what comes in.
local front, ends, owner = lane_of(inbox, 'front')
if owner ~= me and owner ~= '' and ends > now then
  front = 0
else
  if owner ~= me then front = front + 1 end
  store_lane(inbox, 'front', front, till, me)
end

if changed then announce(inbox, 'kept') end
local last = call('XREVRANGE', K.news .. inbox, '+', '-', 'COUNT', 1)[1]
local answer = { 'ok', surplus, front, last and last[1] or '0-0' }
for _, each in ipairs(mine) do
  answer[#answer + 1] = each[1]
  answer[#answer + 1] = each[2]
end
return answer
