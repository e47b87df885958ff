#!lua flags=no-writes
-- matching: those events of a stretch of the log that somebody wants, and how far it was looked through.
-- KEYS[1]  the log
-- ARGV     1 the entry after which to look, 2 most entries to look at, 3 most events to answer,
--          4 types, joined by commas ('' = all), 5 run, 6 actor, 7 subject ('' = any),
--          8 author of a note, 9 what its key begins with ('' = any), 10… its tags, all of them
-- Answer   the last entry looked at ('' = there is none), '1' if there may be more behind it, the events, the horizon
--          ('' = nothing was trimmed): what stands between it and the entry after which to look is in the archive

local horizon = redis.call('HGET', K.meta, 'horizon') or ''
local CHUNK, MAX_BYTES, MAX_LOOKED_BYTES = 20, 1048576, 4194304

local types
if ARGV[4] ~= '' then
  types = {}
  for kind in string.gmatch(ARGV[4], '[^,]+') do types[kind] = true end
end
local run, actor, subject, author, prefix = ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9]

-- What cannot be read is answered: whoever asks finds out, and says so.
local function decoded(text)
  local ok, value = pcall(cjson.decode, text)
  return ok and type(value) == 'table' and value or nil
end

local function has_tags(tags)
  if type(tags) ~= 'table' then return false end
  local has = {}
  for _, tag in ipairs(tags) do has[tag] = true end
  for i = 10, #ARGV do
    if not has[ARGV[i]] then return false end
  end
  return true
end

local function is_wanted(fields)
  if #fields < 10 then return true end
  if types and not types[fields[2]] then return false end
  if subject ~= '' and fields[4] ~= subject then return false end
  if run ~= '' or actor ~= '' then
    local meta = decoded(fields[8])
    if not meta then return true end
    if (run ~= '' and meta.run ~= run) or (actor ~= '' and meta.actor ~= actor) then return false end
  end
  if author == '' and prefix == '' and #ARGV < 10 then return true end
  local data = decoded(fields[10])
  if not data then return true end
  if author ~= '' and data.author ~= author then return false end
  if prefix ~= '' and (type(data.key) ~= 'string' or string.sub(data.key, 1, #prefix) ~= prefix) then return false end
  return #ARGV < 10 or has_tags(data.tags)
end

local last, looked, bytes, seen, found = ARGV[1], 0, 0, 0, {}
local most, limit = tonumber(ARGV[2]), tonumber(ARGV[3])
while true do
  local page = redis.call('XRANGE', K.log, '(' .. last, '+', 'COUNT', CHUNK)
  for _, event in ipairs(page) do
    last, looked = event[1], looked + 1
    local size = 0
    for i = 2, #event[2], 2 do size = size + #event[2][i] end
    seen = seen + size
    if is_wanted(event[2]) then
      found[#found + 1] = event
      bytes = bytes + size
    end
    if #found >= limit or bytes >= MAX_BYTES or seen >= MAX_LOOKED_BYTES then return { last, '1', found, horizon } end
  end
  if #page < CHUNK then return { looked > 0 and last or '', '', found, horizon } end
  if looked >= most then return { last, '1', found, horizon } end
end
