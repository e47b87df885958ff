#!lua flags=allow-oom
-- refold_drop: take away what a rebuild has left: what was served before it, or what one that has crashed has folded.
-- What another is folding just now is not touched.
-- KEYS[1]  the log
-- ARGV     1 what ('notes', 'versions', 'both'), 2 '1' = also what could be gone on with
-- Answer   'more' | 'gone' | 'busy' (another is folding it, or swapping)

local what, state, F = ARGV[1], K.refold .. ARGV[1], K.fresh .. ARGV[1] .. '/'
local PAGE = 500
local stored = call('HMGET', state, 'base', 'phase', 'token', 'laid')
if not stored[1] then return { 'gone' } end
local phase, base = stored[2], refold_base()
if phase == 'swap' then
  local till, token = hold_of()
  if till and token == stored[3] then
    if till > clock() then return { 'busy' } end
    end_hold() -- or who held it, and was only slow, would go on
  end
elseif not phase and stored[1] == base and ARGV[2] ~= '1' then
  return { 'busy' }
end
if phase ~= 'done' then call('HSET', state, 'phase', 'drop') end

-- 1. What is kept of notes whose events were trimmed; notes that were served and are not any more.
local listed = F .. (phase == 'done' and 'old/' or '') .. 'deadlines'
local ids = call('ZRANGE', listed, 0, PAGE - 1)
if #ids > 0 then
  local live = phase == 'done' and call('ZMSCORE', K.deadlines, unpack(ids)) or {}
  local gone = {}
  for i, id in ipairs(ids) do
    gone[i] = F .. 'note/' .. id
    if phase == 'done' and not live[i] then
      local note = call('HMGET', K.note .. id, 'counted', 'size')
      uncount_note(note[1], note[2])
      call('UNLINK', K.note .. id)
    end
  end
  if stored[4] then call('UNLINK', unpack(gone)) end
  call('ZREMRANGEBYRANK', listed, 0, #ids - 1)
  return { 'more' }
end
-- 2. All else.
for _, kind in ipairs({ 'keys', 'deadlines', 'expired', 'refs', 'versions', 'claims', 'index', 'differing' }) do
  call('UNLINK', F .. kind, F .. 'old/' .. kind)
end
call('DEL', state)
return { 'gone' }
