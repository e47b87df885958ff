#!lua flags=allow-oom
-- lanes_forward: entries of the front of a keyed inbox whose keys another shard has go into the outbox for that, in order.
-- Done again, it finds them gone, and does nothing.
-- KEYS[1]  the log
-- ARGV     1 inbox, 2 consumer, 3 generation of the front, 4 the other shard, 5 most units in its outbox, 6 token of the
--          call; then the entries
-- Answer   1 if they are on their way, 0 if the outbox has no room for them, -1: another sorts

local inbox, target = ARGV[1], ARGV[4]
if not owns_lane(inbox, 'front', ARGV[3], ARGV[2]) then return -1 end
local outbox, front, wanted, moved = K.outbox .. target, K.inbox .. inbox, {}, {}
if call('XLEN', outbox) + #ARGV - 6 > tonumber(ARGV[5]) then return 0 end
for i = 7, #ARGV do wanted[ARGV[i]] = true end
local here = string.match(K.log, '(%d+)}:log$')
for _, entry in ipairs(call('XRANGE', front, ARGV[7], ARGV[#ARGV])) do
  if wanted[entry[1]] then
    local fields = entry[2]
    for f = 1, #fields, 2 do -- its place stays the one in this shard's log
      if fields[f] == 'pos' and not string.find(fields[f + 1], '/', 1, true) then
        fields[f + 1] = here .. '/' .. fields[f + 1]
      end
    end
    local unit = cjson.encode({ { 'i', inbox, cjson.encode(fields) } }) .. '\n'
    call('XADD', outbox, '*', 'call', ARGV[6], 'unit', unit, 'blobs', '')
    moved[#moved + 1] = entry[1]
  end
end
if #moved > 0 then
  call('XACK', front, GROUP, unpack(moved)) -- as in lanes_sort
  call('XDEL', front, unpack(moved))
  call('SPUBLISH', K.bell .. ' outbox', target)
end
return 1
