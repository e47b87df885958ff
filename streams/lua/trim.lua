#!lua flags=allow-oom
-- trim: the oldest events leave the log for good, with what only they have named. They are in the archive, and the state
-- that was folded of them is there, too.
-- KEYS[1]  the log
-- ARGV     1 entry up to which (with it), 2 most events to take
-- Answer   'ok' number_of_events entry 'more'|'done' | 'kept' who entry (who has not come so far) | 'held': ask again

local MAX_BYTES = 4194304
local to_ms, to_seq = string.match(ARGV[1], '^(%d+)-(%d+)$')
to_ms, to_seq = tonumber(to_ms), tonumber(to_seq)

-- 1. Whoever reads the log has come so far: the archive and the state in it, bridges, and the projections that are read
-- or being built. Who is furthest behind is told.
local keeper, least_ms, least_seq

local function has_come(who, text)
  local ms, seq = string.match(text, '^(%d+)-(%d+)')
  ms, seq = tonumber(ms), tonumber(seq)
  if ms > to_ms or (ms == to_ms and seq >= to_seq) then return end
  if not keeper or ms < least_ms or (ms == least_ms and seq < least_seq) then
    keeper, least_ms, least_seq = { 'kept', who, string.match(text, '^%S+') }, ms, seq
  end
end

local marks = redis.call('HGETALL', K.marks)
local stands = { archive = '0-0', state = '0-0' }
for i = 1, #marks, 2 do stands[marks[i]] = marks[i + 1] end
if stands.archive == '0-0' then return { 'kept', 'archive', '0-0' } end
for who, text in pairs(stands) do has_come(who, text) end
local views = redis.call('HGETALL', K.views)
for i = 1, #views, 2 do
  local name = views[i]
  local projection, version = string.match(name, '^(.*)/(%d+)$') -- not those that are folded anew: they begin again
  if version then
    local live = tonumber(redis.call('HGET', K.views, projection) or '0')
    if tonumber(version) >= live then has_come(name, views[i + 1]) end
  end
end
if keeper then return keeper end

-- A rebuild that is putting projections in their places goes by the events that are there.
if is_held() then return { 'held' } end

-- 2. What the events that leave have named. Of an event that Roost did not write nothing is known, and nothing is done.
local function decoded(text)
  local ok, value = pcall(cjson.decode, text)
  return ok and type(value) == 'table' and value or {}
end

local function is_past(entry)
  local ms, seq = string.match(entry, '^(%d+)-(%d+)$')
  ms, seq = tonumber(ms), tonumber(seq)
  return ms and (ms < to_ms or (ms == to_ms and seq <= to_seq))
end

local page = redis.call('XRANGE', K.log, '-', ARGV[1], 'COUNT', ARGV[2])
local taken, last, bytes = 0, nil, 0
local leaving = {} -- keys whose events leave
for _, event in ipairs(page) do
  local fields = event[2]
  local kind, subject = fields[2], fields[4]
  if kind == 'note.written' then
    local data = decoded(fields[10])
    local id, digest = data.note, data.digest
    if type(id) == 'string' and redis.call('HGET', K.expired, id) == digest then
      redis.call('HDEL', K.expired, id)
      unname_blob(digest)
    end
  elseif kind == 'records.ingested' or string.sub(subject or '', 1, 7) == 'effect/' then
    local _, newest = version_of(subject)
    if newest == event[1] then
      redis.call('HSET', K.last, subject, cjson.encode(event))
    end
  end
  -- A note that has gone has no more events: when its last one leaves, its subject is over.
  if string.sub(subject or '', 1, 5) == 'note/' then
    local _, newest = version_of(subject)
    if newest == event[1] and redis.call('EXISTS', K.note .. string.sub(subject, 6)) == 0 then
      redis.call('HDEL', K.versions, subject)
    end
  elseif string.sub(subject or '', 1, 4) == 'key/' then
    leaving[string.sub(subject, 5)] = true
  end
  taken, last = taken + 1, event[1]
  for i = 2, #fields, 2 do bytes = bytes + #fields[i] end
  if bytes >= MAX_BYTES then break end
end
if not last then return { 'ok', 0, '', 'done' } end

-- 3. The log, and in the same step what readers go by.
local first = redis.call('XRANGE', K.log, '(' .. last, '+', 'COUNT', 1)[1]
if first then
  redis.call('XTRIM', K.log, 'MINID', first[1])
else
  redis.call('XTRIM', K.log, 'MAXLEN', 0)
end
redis.call('HSET', K.meta, 'horizon', last)
redis.call('HINCRBY', K.meta, 'trimmed', taken)
for key in pairs(leaving) do close_key(key) end
return { 'ok', taken, last, taken == #page and #page < tonumber(ARGV[2]) and 'done' or 'more' }
