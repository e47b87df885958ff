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
local stored = call('HMGET', state, 'at', 'events', 'base', 'phase', 'note', 'ttl', 'claim', 'odd', 'damaged', 'cursor')
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

local find, byte, null = string.find, string.byte, cjson.null
local odd, damaged = tonumber(stored[8] or 0), tonumber(stored[9] or 0)
local done = stored[5] and { id = stored[5], ttl = tonumber(stored[6]), claim = stored[7] } -- see work.computed

-- What this page changes, written at its end, together. false: it is taken away. `index` has of each note that lives
-- '<entry> <entry of work.computed, or -> <deadline, or -> <size> <check> <digest> <key>', of one that has expired
-- 'x <digest>'; `check` is of record and work.
local index, keys, claims, expired, deadlines, refs, touched, records = {}, {}, {}, {}, {}, {}, {}, {}

local function look(changed, hash, name)
  local value = changed[name]
  if value == nil then value = call('HGET', F .. hash, name) end
  return value
end

-- A JSON object, or nil: an array, another value, no JSON at all.
local function object(text)
  local fine, value = pcall(cjson.decode, text)
  if fine and type(value) == 'table' and byte(text, (find(text, '%S'))) == 123 then return value end
end

local function is_text(value) return type(value) == 'string' end

local function is_optional(value) return value == nil or value == null or type(value) == 'string' end

local function is_count(value) return type(value) == 'number' and value >= 0 and value == math.floor(value) end

local function is_texts(value, text, name)
  if value == nil then return true end
  if type(value) ~= 'table' then return false end
  if value[1] == nil then return not find(text, '"' .. name .. '"%s*:%s*{') end -- objects look like lists, decoded
  for _, each in ipairs(value) do
    if type(each) ~= 'string' then return false end
  end
  return true
end

-- Who did something, for whom: a claim is known by it. The meta is taken apart only where it is not as it mostly is.
local function who(meta)
  if find(meta, '\\', 1, true) then
    local known = object(meta) or {}
    local cause, actor = known.cause, known.actor
    return (is_text(cause) and '=' .. cause or '-') .. ' ' .. (is_text(actor) and '=' .. actor or '-')
  end
  local cause, actor = string.match(meta, '"cause":%s*"([^"]*)"'), string.match(meta, '"actor":%s*"([^"]*)"')
  return (cause and '=' .. cause or '-') .. ' ' .. (actor and '=' .. actor or '-')
end

local function name_blob(digest, by) refs[digest] = (refs[digest] or 0) + by end

local function is_trimmed(entry)
  if not horizon then return false end
  local ms, seq = string.match(entry, '^(%d+)-(%d+)$')
  local last_ms, last_seq = string.match(horizon, '^(%d+)-(%d+)$')
  ms, last_ms = tonumber(ms), tonumber(last_ms)
  return ms < last_ms or (ms == last_ms and tonumber(seq) <= tonumber(last_seq))
end

-- Out of the projection; its digest and entry, or nil if it does not live.
local function drop(id)
  local known = look(index, 'index', id)
  if not known or byte(known) == 120 then return nil end
  local note = parse_indexed(known)
  if note.key ~= '' and look(keys, 'keys', note.key) == id then keys[note.key] = false end
  index[id], deadlines[id], touched[id] = false, false, true
  return note.digest, note.entry
end

-- The note goes with its content, whether it lives or has expired.
local function leave(id)
  local known = look(index, 'index', id)
  if not known then return end
  local digest = drop(id) or string.sub(known, 3)
  index[id], expired[id] = false, false
  name_blob(digest, -1)
end

-- What scripts and writers mostly make of these needs no parser.
local function known_data(kind, text)
  if kind == 'note.expired' then
    local id = string.match(text, '^{"note":"([^"\\]*)","digest":"[^"\\]*","deadline":%d+}$')
    return id and { note = id }
  elseif kind == 'work.claimed' then
    local key = string.match(text, '^{"key":"([^"\\]*)"}$')
    return key and { key = key }
  end
end

-- Each answers true, or nothing for data that does not fit its type.
local fold = {}

fold['note.written'] = function(entry, data, _, text)
  local id, key, digest, ttl, written = data.note, data.key, data.digest, data.ttl_ms, data.written
  if not (is_text(id) and is_text(digest) and is_count(data.size) and is_optional(key) and is_optional(data.author)
    and is_optional(data.run) and is_optional(data.form) and is_texts(data.tags, text, 'tags')
    and is_texts(data.sources, text, 'sources')
    and (written == nil or is_count(written)) and (ttl == nil or ttl == null or is_count(ttl))) then return end
  key = is_text(key) and key or nil
  ttl = ttl ~= null and ttl or nil
  leave(id) -- written again under the same ID
  local deadline = ttl and format('%.0f', string.match(entry, '^%d+') + ttl) or '-'
  index[id] = format('%s - %s %.0f %s %s %s', entry, deadline, data.size, check_of(text, ''), digest, key or '')
  deadlines[id], touched[id], records[id] = ttl and deadline or '+inf', true, text
  name_blob(digest, 1)
  done = nil
  if key then
    keys[key] = id
    local claim = look(claims, 'claims', key)
    if claim then
      claims[key] = false
      done = { id = id, ttl = ttl, claim = claim }
    end
  end
  return true
end

fold['work.computed'] = function(entry, data, meta, text)
  local id = data.note
  if not is_optional(id) then return end
  local known = is_text(id) and look(index, 'index', id)
  if not known or byte(known) == 120 then return true end -- it came too late, or the note is gone
  local note = parse_indexed(known)
  local at, of = string.match(done and done.id == id and done.ttl and done.claim or '', '^(%d+) (.*)$')
  local deadline = note.deadline
  if of == who(meta) then -- it runs from the claim
    deadline = format('%.0f', at + done.ttl)
    deadlines[id] = deadline
  end
  local record = records[id] or folded_record(F, id, note.entry)
  local check = check_of(record, work_of(text))
  index[id] = concat({ note.entry, entry, deadline, note.size, check, note.digest, note.key }, ' ')
  touched[id] = true
  return true
end

fold['note.expired'] = function(_, data)
  if not is_text(data.note) then return end
  local digest, entry = drop(data.note)
  if digest and is_trimmed(entry) then
    name_blob(digest, -1)
  elseif digest then
    index[data.note], expired[data.note] = 'x ' .. digest, digest
  end
  return true
end

fold['note.forgotten'] = function(_, data)
  if not is_text(data.note) then return end
  leave(data.note)
  return true
end

fold['work.claimed'] = function(entry, data, meta)
  if not is_text(data.key) then return end
  claims[data.key] = string.match(entry, '^%d+') .. ' ' .. who(meta)
  return true
end

fold['work.failed'] = function(_, data, meta)
  if not is_text(data.key) then return end
  if string.match(look(claims, 'claims', data.key) or '', '^%d+ (.*)$') == who(meta) then claims[data.key] = false end
  return true
end

-- The changes of a hash, some hundred a command.
local function flush(hash, changed)
  local set, gone = {}, {}
  for name, value in pairs(changed) do
    if value then
      set[#set + 1], set[#set + 2] = name, value
    else
      gone[#gone + 1] = name
    end
  end
  for first = 1, #set, PAGE do call('HSET', F .. hash, unpack(set, first, math.min(first + PAGE - 1, #set))) end
  for first = 1, #gone, PAGE do call('HDEL', F .. hash, unpack(gone, first, math.min(first + PAGE - 1, #gone))) end
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
        local data = known_data(f[2], f[10]) or object(f[10])
        if not (data and evolve(entry, data, f[8], f[10])) then odd = odd + 1 end
      end
    end
  end
  taken = taken + #page
  if #page < CHUNK then
    tail = '1'
    break
  end
end

flush('versions', versions)
flush('keys', keys)
flush('claims', claims)
flush('expired', expired)
-- Which notes live, by their deadlines.
local live, gone = {}, {}
for id, deadline in pairs(deadlines) do
  if deadline then
    live[#live + 1], live[#live + 2] = deadline, id
  else
    gone[#gone + 1] = id
  end
end
for first = 1, #live, PAGE do call('ZADD', F .. 'deadlines', unpack(live, first, math.min(first + PAGE - 1, #live))) end
for first = 1, #gone, PAGE do call('ZREM', F .. 'deadlines', unpack(gone, first, math.min(first + PAGE - 1, #gone))) end
flush('index', index)
-- How many notes name each content.
local digests = {}
for digest, by in pairs(refs) do
  if by ~= 0 then digests[#digests + 1] = digest end
end
for first = 1, #digests, PAGE do
  local last = math.min(first + PAGE - 1, #digests)
  local known, counted = call('HMGET', F .. 'refs', unpack(digests, first, last)), {}
  for i = first, last do
    local count = (known[i - first + 1] or 0) + refs[digests[i]]
    counted[digests[i]] = count > 0 and format('%d', count)
  end
  flush('refs', counted)
end
if stored[10] then -- what is served is being compared, or was: these are to be looked at, too
  local ids = {}
  for id in pairs(touched) do ids[#ids + 1] = id end
  for first = 1, #ids, PAGE do call('SADD', F .. 'differing', unpack(ids, first, math.min(first + PAGE - 1, #ids))) end
end
local events = tonumber(stored[2]) + taken
call('HSET', state, 'at', at, 'events', events, 'odd', odd, 'damaged', damaged)
if done then
  call('HSET', state, 'note', done.id, 'ttl', done.ttl or '', 'claim', done.claim)
else
  call('HDEL', state, 'note', 'ttl', 'claim')
end
return { 'ok', at, events, tail }
