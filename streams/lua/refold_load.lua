#!lua
-- refold_load: begin a rebuild with the state of a log that was trimmed, a page of its rows a call.
-- KEYS[1]  the log
-- ARGV     1 what ('notes', 'versions', 'both'), 2 how many rows were loaded before ('0': the first call), 3 entry of the
--          state, 4 '1' = these are the last; then the rows:
--   note id key digest size deadline record entry work
--   key key id | expired id digest | claim key text | version subject text | done id ttl text
-- Answer   'ok' rows | 'stale' (others are at it, or were) | 'trimmed' entry (the state is older than that)

local what, state, F = ARGV[1], K.refold .. ARGV[1], K.fresh .. ARGV[1] .. '/'
local SIZES = { note = 8, key = 2, expired = 2, claim = 2, version = 2, done = 3 }
local base, horizon = refold_base()
if ARGV[2] == '0' then
  if call('EXISTS', state) == 1 then return { 'stale' } end
  local function number(entry)
    local ms, seq = string.match(entry, '^(%d+)-(%d+)$')
    return tonumber(ms), tonumber(seq)
  end
  local ms, seq = number(ARGV[3])
  local last_ms, last_seq = number(horizon or '0-0')
  if ms < last_ms or (ms == last_ms and seq < last_seq) then return { 'trimmed', horizon } end
  call('HSET', state, 'base', base, 'phase', 'load', 'loaded', 0, 'laid', 1)
elseif call('HGET', state, 'phase') ~= 'load' or call('HGET', state, 'loaded') ~= ARGV[2] then
  return { 'stale' }
end

local i, rows = 5, 0
while i <= #ARGV do
  local row, a, b = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if row == 'note' then
    call('HSET', F .. 'note/' .. a, 'record', ARGV[i + 6], 'digest', ARGV[i + 3], 'size', ARGV[i + 4],
      'deadline', ARGV[i + 5], 'key', b, 'entry', ARGV[i + 7], 'work', ARGV[i + 8])
    call('HSET', F .. 'index', a, concat({ ARGV[i + 7], '-', ARGV[i + 5] == '' and '-' or ARGV[i + 5], ARGV[i + 4],
      check_of(ARGV[i + 6], ARGV[i + 8]), ARGV[i + 3], b }, ' '))
    call('HINCRBY', F .. 'refs', ARGV[i + 3], 1)
    call('ZADD', F .. 'deadlines', ARGV[i + 5] == '' and '+inf' or ARGV[i + 5], a)
  elseif row == 'key' then
    call('HSET', F .. 'keys', a, b)
  elseif row == 'expired' then
    call('HSET', F .. 'expired', a, b)
    call('HSET', F .. 'index', a, 'x ' .. b)
    call('HINCRBY', F .. 'refs', b, 1)
  elseif row == 'claim' then
    call('HSET', F .. 'claims', a, b)
  elseif row == 'version' then
    call('HSET', F .. 'versions', a, b)
  else
    call('HSET', state, 'note', a, 'ttl', b, 'claim', ARGV[i + 3])
  end
  i, rows = i + SIZES[row] + 1, rows + 1
end
if ARGV[4] == '1' then
  call('HSET', state, 'at', ARGV[3], 'events', 0)
  call('HDEL', state, 'phase', 'loaded')
else
  call('HINCRBY', state, 'loaded', rows)
end
return { 'ok', tonumber(ARGV[2]) + rows }
