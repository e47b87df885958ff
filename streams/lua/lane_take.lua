#!lua flags=allow-oom
-- lane_take: what the owners before had in hand becomes the new owner's, in order, before it reads anything new. The counts
-- rise, so that no token of theirs is good any more. To be repeated until it names no entry to go on behind.
-- KEYS[1]  the log
-- ARGV     1 inbox, 2 consumer, 3 lane, 4 generation, 5 entry to go on behind ('-' = from the first), 6 most deliveries;
--          then entries that the owner has in hand already: these stay as they are
-- Answer   'lost' | 'ok', the last entry that was ever read; for each delivery: entry, count, fields, the attempt that was
--          begun last ('' if none is known), 1 if it was another owner's; keys that are stalled in this lane, and how; entry to go on behind ('' = that was all)

local inbox, me, lane = ARGV[1], ARGV[2], ARGV[3]
if not owns_lane(inbox, lane, ARGV[4], me) then return { 'lost' } end
local name = lane .. '/' .. inbox
local stream, taken, in_hand = K.inbox .. name, {}, {}
for i = 7, #ARGV do in_hand[ARGV[i]] = true end
local start = ARGV[5] == '-' and '-' or '(' .. ARGV[5]
local page = call('XPENDING', stream, GROUP, start, '+', tonumber(ARGV[6]))
for _, pending in ipairs(page) do
  if pending[2] ~= me or not in_hand[pending[1]] then
    local count = pending[4] + 1
    local claimed = call('XCLAIM', stream, GROUP, me, 0, pending[1], 'RETRYCOUNT', count)[1]
    if claimed then
      taken[#taken + 1] = { claimed[1], count, claimed[2], call('HGET', K.tries .. name, claimed[1]) or '',
        pending[2] == me and 0 or 1 }
    end
  end
end
local following = #page == tonumber(ARGV[6]) and page[#page][1] or ''
local read = '0-0'
for _, group in ipairs(call('XINFO', 'GROUPS', stream)) do
  for i = 1, #group, 2 do
    if group[i] == 'last-delivered-id' then read = group[i + 1] end
  end
end
if following == '' then -- who owned it before has nothing left here
  for _, consumer in ipairs(call('XINFO', 'CONSUMERS', stream, GROUP)) do
    if consumer[2] ~= me and consumer[4] == 0 then call('XGROUP', 'DELCONSUMER', stream, GROUP, consumer[2]) end
  end
end
return { 'ok', read, taken, call('HGETALL', K.stalled .. name), following }
