#!lua
-- refold: fold a page of the log into fresh inline projections, beside those that are served.
-- The checkpoint is stored in the same step: a rebuilder that crashed, or another at the same time, folds nothing twice.
-- KEYS[1]  the log
-- ARGV     1 what is folded: 'notes' (note, keys, deadlines, expired, refs), 'versions' or 'both', 2 the checkpoint that
--          the caller knows, an entry ('' = none: begin, or tell where another is), 3 most events
-- Answer   'ok' checkpoint events tail    events: folded so far; tail: '1' when these were the log's last
--          'stale' checkpoint events      nothing was folded: this is how far it is
--          'gone'                         there is nothing that has that checkpoint: it was finished, or dropped
--          'spoiled'                      what is there cannot be gone on with: `refold_drop` takes it away
--          'trimmed' entry                the log was trimmed up to there: `refold_load` begins with the state of then

local what, most, CHUNK, PAGE, MOST_BYTES = ARGV[1], tonumber(ARGV[3]), 64, 500, 1048576
local state, F = K.refold .. what, K.fresh .. what .. '/'
local stored = call('HMGET', state, 'at', 'events', 'base', 'phase', 'note', 'ttl', 'claim', 'odd', 'damaged')
local base, horizon = refold_base()
if stored[3] and (stored[4] or stored[3] ~= base) then return { 'spoiled' } end
if not stored[1] then
  if ARGV[2] ~= '' then return { 'gone' } end
  if horizon then return { 'trimmed', horizon } end
  stored[1], stored[2] = '0-0', '0'
  call('HSET', state, 'at', '0-0', 'events', 0, 'base', base)
elseif ARGV[2] ~= stored[1] then
  return { 'stale', stored[1], stored[2] }
end

local find, sub, byte, null = string.find, string.sub, string.byte, cjson.null
local NOTE, KEYS_, LIVE, EXPIRED = F .. 'note/', F .. 'keys', F .. 'deadlines', F .. 'expired'
local REFS, CLAIMS = F .. 'refs', F .. 'claims'
local odd, damaged = tonumber(stored[8] or 0), tonumber(stored[9] or 0)
local done = stored[5] and { id = stored[5], ttl = tonumber(stored[6]), claim = stored[7] } -- see work.computed

-- A JSON object, or nil: an array, another value, no JSON at all.
local function object(text)
  local fine, value = pcall(cjson.decode, text)
  if fine and type(value) == 'table' and byte(text, (find(text, '%S'))) == 123 then return value end
end

local function is_text(value) return type(value) == 'string' end

local function is_optional(value) return value == nil or value == null or type(value) == 'string' end

local function is_count(value) return type(value) == 'number' and value >= 0 and value == math.floor(value) end

local function is_texts(value)
  if value == nil then return true end
  if type(value) ~= 'table' then return false end
  for _, each in ipairs(value) do
    if type(each) ~= 'string' then return false end
  end
  return true
end

-- Who did something, for whom: a claim is known by it.
local function who(meta)
  local cause, actor = meta.cause, meta.actor
  return (is_text(cause) and '=' .. cause or '-') .. ' ' .. (is_text(actor) and '=' .. actor or '-')
end

local function unname(digest)
  if call('HINCRBY', REFS, digest, -1) <= 0 then call('HDEL', REFS, digest) end
end

local function is_trimmed(entry)
  if not horizon then return false end
  local ms, seq = string.match(entry, '^(%d+)-(%d+)$')
  local last_ms, last_seq = string.match(horizon, '^(%d+)-(%d+)$')
  ms, last_ms = tonumber(ms), tonumber(last_ms)
  return ms < last_ms or (ms == last_ms and tonumber(seq) <= tonumber(last_seq))
end

-- Out of the projection; its digest and entry, or nil if it was not there.
local function drop(id)
  local note = call('HMGET', NOTE .. id, 'digest', 'key', 'entry')
  if not note[1] then return nil end
  if note[2] ~= '' and call('HGET', KEYS_, note[2]) == id then call('HDEL', KEYS_, note[2]) end
  call('ZREM', LIVE, id)
  call('DEL', NOTE .. id)
  return note[1], note[3]
end

-- The note goes with its content, whether it lives or has expired.
local function leave(id)
  local digest = drop(id) or call('HGET', EXPIRED, id)
  if digest then
    call('HDEL', EXPIRED, id)
    unname(digest)
  end
end

local function string_end(text, i)
  i = i + 1
  while true do
    i = find(text, '["\\]', i)
    if byte(text, i) == 34 then return i end
    i = i + 2
  end
end

-- Where a member's value ends: at the comma behind it, or at the object's brace.
local function value_end(text, i)
  local depth = 0
  while true do
    i = find(text, '["%[%]{},]', i)
    local c = byte(text, i)
    if c == 34 then
      i = string_end(text, i)
    elseif c == 91 or c == 123 then
      depth = depth + 1
    elseif depth == 0 then
      return i
    elseif c ~= 44 then
      depth = depth - 1
    end
    i = i + 1
  end
end

-- The object without what tells of the note beside the work. The bytes of the others stay: numbers would not, decoded.
local function work_of(text)
  local kept, i = {}, find(text, '{', 1, true) + 1
  while true do
    i = find(text, '[^%s,]', i)
    if byte(text, i) == 125 then return '{' .. concat(kept, ',') .. '}' end
    local close = string_end(text, i)
    local name, stop = sub(text, i + 1, close - 1), value_end(text, close + 1)
    if name ~= 'key' and name ~= 'label' and name ~= 'note' then kept[#kept + 1] = sub(text, i, stop - 1) end
    i = stop
  end
end

-- Each answers true, or nothing for data that does not fit its type.
local fold = {}

fold['note.written'] = function(entry, data, text)
  local id, key, digest, ttl, written = data.note, data.key, data.digest, data.ttl_ms, data.written
  if not (is_text(id) and is_text(digest) and is_count(data.size) and is_optional(key) and is_optional(data.author)
    and is_optional(data.run) and is_optional(data.form) and is_texts(data.tags) and is_texts(data.sources)
    and (written == nil or is_count(written)) and (ttl == nil or ttl == null or is_count(ttl))) then return end
  key = is_text(key) and key or nil
  ttl = ttl ~= null and ttl or nil
  leave(id) -- written again under the same ID
  local deadline = ttl and format('%.0f', string.match(entry, '^%d+') + ttl) or ''
  call('HSET', NOTE .. id, 'record', text, 'digest', digest, 'size', format('%.0f', data.size), 'deadline', deadline,
    'key', key or '', 'entry', entry, 'work', '')
  call('HINCRBY', REFS, digest, 1)
  call('ZADD', LIVE, deadline == '' and '+inf' or deadline, id)
  done = nil
  if key then
    call('HSET', KEYS_, key, id)
    local claim = call('HGET', CLAIMS, key)
    if claim then
      call('HDEL', CLAIMS, key)
      done = { id = id, ttl = ttl, claim = claim }
    end
  end
  return true
end

fold['work.computed'] = function(_, data, text, meta)
  local id = data.note
  if not is_optional(id) then return end
  if not is_text(id) or call('EXISTS', NOTE .. id) == 0 then return true end -- too late, or the note is gone
  call('HSET', NOTE .. id, 'work', work_of(text))
  local at, of = string.match(done and done.id == id and done.ttl and done.claim or '', '^(%d+) (.*)$')
  if of == who(meta) then -- its time to live runs from the claim
    local deadline = format('%.0f', at + done.ttl)
    call('HSET', NOTE .. id, 'deadline', deadline)
    call('ZADD', LIVE, deadline, id)
  end
  return true
end

fold['note.expired'] = function(_, data)
  if not is_text(data.note) then return end
  local digest, entry = drop(data.note)
  if digest and is_trimmed(entry) then
    unname(digest)
  elseif digest then
    call('HSET', EXPIRED, data.note, digest)
  end
  return true
end

fold['note.forgotten'] = function(_, data)
  if not is_text(data.note) then return end
  leave(data.note)
  return true
end

fold['work.claimed'] = function(entry, data, _, meta)
  if not is_text(data.key) then return end
  call('HSET', CLAIMS, data.key, string.match(entry, '^%d+') .. ' ' .. who(meta))
  return true
end

fold['work.failed'] = function(_, data, _, meta)
  if not is_text(data.key) then return end
  if string.match(call('HGET', CLAIMS, data.key) or '', '^%d+ (.*)$') == who(meta) then call('HDEL', CLAIMS, data.key) end
  return true
end

if what == 'versions' then fold = {} end
local is_versioned = what ~= 'notes'
local versions, taken, bytes, at, tail = {}, 0, 0, stored[1], '0'
while taken < most and bytes < MOST_BYTES do
  local page = call('XRANGE', K.log, '(' .. at, '+', 'COUNT', CHUNK)
  for i = 1, #page do
    local entry, f = page[i][1], page[i][2]
    at, bytes = entry, bytes + (f[10] and #f[10] or 0)
    if f[1] ~= 'type' or f[3] ~= 'subject' or f[5] ~= 'ver' or f[7] ~= 'meta' or f[9] ~= 'data' then
      damaged = damaged + 1 -- nobody has written it by the scripts
    else
      local evolve = fold[f[2]]
      if is_versioned then versions[f[4]] = f[6] .. ' ' .. entry end
      if evolve then
        local meta, data = object(f[8]), object(f[10])
        if not meta then
          damaged = damaged + 1
        elseif not (data and evolve(entry, data, f[10], meta)) then
          odd = odd + 1
        end
      end
    end
  end
  taken = taken + #page
  if #page < CHUNK then
    tail = '1'
    break
  end
end

local news = {}
for subject, version in pairs(versions) do
  news[#news + 1] = subject
  news[#news + 1] = version
end
for first = 1, #news, PAGE do
  call('HSET', F .. 'versions', unpack(news, first, math.min(first + PAGE - 1, #news)))
end
local events = tonumber(stored[2]) + taken
call('HSET', state, 'at', at, 'events', events, 'odd', odd, 'damaged', damaged)
if done then
  call('HSET', state, 'note', done.id, 'ttl', done.ttl or '', 'claim', done.claim)
else
  call('HDEL', state, 'note', 'ttl', 'claim')
end
return { 'ok', at, events, tail }
