#!lua
-- view_swap: what has been folded anew beside a view takes its place, if it has come as far.
-- KEYS[1]  the log
-- ARGV     1 view, 2 the one folded anew
-- Answer   'swapped' | 'behind' | 'missing'

local view, fresh = ARGV[1], ARGV[2]
local standing = call('HGET', K.views, fresh)
if not standing then return { 'missing' } end

local function entry_of(text)
  local ms, seq = string.match(text, '^(%d+)-(%d+) ')
  return tonumber(ms), tonumber(seq)
end

local ms, seq = entry_of(standing)
local stands = call('HGET', K.views, view)
if stands then
  local live_ms, live_seq = entry_of(stands)
  if ms < live_ms or (ms == live_ms and seq < live_seq) then return { 'behind' } end
end
for _, kind in ipairs({ K.view, K.order, K.poison }) do
  call('UNLINK', kind .. view)
  if call('EXISTS', kind .. fresh) == 1 then call('RENAME', kind .. fresh, kind .. view) end
end
call('HSET', K.views, view, standing)
call('HDEL', K.views, fresh)
return { 'swapped' }
