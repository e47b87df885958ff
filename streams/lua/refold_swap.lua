#!lua flags=allow-oom
-- refold_swap: what was folded anew takes the place of what is served: notes that differ, some a call, all else at last.
-- Who reads meanwhile sees the old or the new of each. The shard must be held, which each step prolongs; the last ends it.
-- KEYS[1]  the log
-- ARGV     1 what ('notes', 'versions', 'both'), 2 token of the hold, 3 how long each step prolongs it, ms,
--          4 checkpoint: it must be the log's last entry, 5 number of the flock's shards
-- Answer   'more' notes     so many were put right; go on
--          'done' notes     all is served; the hold has ended
--          'lost'           the hold is another's, or nobody's
--          'behind'         something was appended behind the checkpoint: fold it first
--          'spoiled'        what was folded is not there any more, or of no use

local what, state, F = ARGV[1], K.refold .. ARGV[1], K.fresh .. ARGV[1] .. '/'
local stored = call('HMGET', state, 'at', 'base', 'phase', 'swapped', 'token', 'shard', 'unit', 'cursor')
if stored[3] == 'done' and stored[5] == ARGV[2] then return { 'done', stored[4] or 0 } end -- the answer was lost
local _, token = hold_of()
if token ~= ARGV[2] then return { 'lost' } end
local base = refold_base()
if stored[2] ~= base or (stored[3] and not (stored[3] == 'swap' and stored[5] == ARGV[2])) then return { 'spoiled' } end
if what ~= 'versions' and stored[8] ~= 'end' then return { 'spoiled' } end
if stored[1] ~= ARGV[4] or call('XRANGE', K.log, '(' .. ARGV[4], '+', 'COUNT', 1)[1] then return { 'behind' } end
call('HSET', state, 'phase', 'swap', 'token', ARGV[2])
call('HSET', K.meta, 'generation', format('held:%d:%s', clock() + math.min(tonumber(ARGV[3]), 10000), ARGV[2]))

local kinds = { 'versions' }
local swapped = tonumber(stored[4] or 0)
if what ~= 'versions' then
  kinds = { 'keys', 'deadlines', 'expired', 'refs', what == 'both' and 'versions' or nil }
  -- 1. Notes that differ.
  local ids = call('SPOP', F .. 'differing', 100)
  for _, id in ipairs(ids) do
    local note, before = folded_note(F, id), call('HMGET', K.note .. id, 'counted', 'size')
    uncount_note(before[1], before[2])
    call('DEL', K.note .. id)
    if note then
      call('HSET', K.note .. id, 'record', note[1], 'digest', note[2], 'size', note[3], 'deadline', note[4],
        'key', note[5], 'entry', note[6], 'work', note[7])
      if call('EXISTS', K.counted) == 1 then count_note(id, note[1], note[3]) end
    end
  end
  swapped = swapped + #ids
  call('HSET', state, 'swapped', swapped)
  if #ids == 100 then return { 'more', swapped } end
  -- 2. Contents on their way to other shards are named by the outboxes.
  local shard, unit = tonumber(stored[6] or 0), stored[7] or '-'
  if shard < tonumber(ARGV[5]) then
    local units = call('XRANGE', K.outbox .. shard, unit, '+', 'COUNT', 50)
    for _, each in ipairs(units) do
      for digest in string.gmatch(each[2][6], '%x+') do call('HINCRBY', F .. 'refs', digest, 1) end
    end
    if #units == 50 then
      call('HSET', state, 'unit', '(' .. units[50][1])
    else
      call('HSET', state, 'shard', shard + 1, 'unit', '-')
    end
    return { 'more', swapped }
  end
end
-- 3. All else at once.
for _, kind in ipairs(kinds) do
  local served = P .. kind
  if call('EXISTS', served) == 1 then call('RENAME', served, F .. 'old/' .. kind) end
  if call('EXISTS', F .. kind) == 1 then call('RENAME', F .. kind, served) end
end
call('HSET', state, 'phase', 'done')
end_hold()
return { 'done', swapped }
