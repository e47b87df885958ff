#!lua
-- view_take: a version of a projection is what readers get from now on, if it has come as far as the one before.
-- KEYS[1]  the log
-- ARGV     1 name, 2 version
-- Answer   the version that readers get now

local name, version = ARGV[1], tonumber(ARGV[2])

local function entry_of(which)
  local ms, seq = string.match(call('HGET', K.views, name .. '/' .. which) or '', '^(%d+)-(%d+) ')
  return tonumber(ms), tonumber(seq)
end

local live = tonumber(call('HGET', K.views, name) or '')
if live and version > live then
  local ms, seq = entry_of(version)
  local old_ms, old_seq = entry_of(live)
  if old_ms and (not ms or ms < old_ms or (ms == old_ms and seq < old_seq)) then return live end
elseif live then
  return live -- who has an older one does not take it back
end
call('HSET', K.views, name, version)
return version
