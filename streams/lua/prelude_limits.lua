-- prelude_limits: how many notes that live an agent may have, and how many bytes. It stands before the prelude.
-- `allowed` has what each may have in this shard, `counted` what it has: that is kept only while anybody is limited. A
-- note that has been counted bears its count and its agent, '<count> <agent>', and is taken off that count alone.

-- Whose note it is. The record is taken apart only where it is not as it mostly is.
local function author_of(record)
  local author = string.match(record, '"author":%s*"([^"\\]*)"')
  if not author then
    local fine, data = pcall(cjson.decode, record)
    author = fine and type(data) == 'table' and type(data.author) == 'string' and data.author or ''
  end
  return author ~= '' and author or 'anyone'
end
-- A size as text. It comes from whoever has written the note, and may be anything.
local function size_of(text)
  return text and #text < 16 and string.match(text, '^%d+$') or '0'
end

-- What an agent may have in this shard, under which limits, and what it has. No limits, no name.
local function standing_of(agent)
  local lines = redis.call('HMGET', K.allowed, 'own ' .. agent, 'each ' .. agent, 'each')
  local notes, bytes, name = string.match(lines[1] or lines[2] or lines[3] or '', '^(%S+) (%S+) (%S+)$')
  local has = redis.call('HMGET', K.counted, 'notes ' .. agent, 'bytes ' .. agent)
  return { notes = tonumber(notes) or math.huge, bytes = tonumber(bytes) or math.huge, name = name,
    has_notes = tonumber(has[1] or 0), has_bytes = tonumber(has[2] or 0) }
end

-- So much more, or less, of its limits is for this shard to give.
local function change_share(agent, notes, bytes)
  local one, line = standing_of(agent), 'own ' .. agent
  if not one.name then return end
  if redis.call('HEXISTS', K.allowed, line) == 0 then line = 'each ' .. agent end
  local function text(number) return number == math.huge and '-' or string.format('%.0f', number) end
  redis.call('HSET', K.allowed, line, text(one.notes + notes) .. ' ' .. text(one.bytes + bytes) .. ' ' .. one.name)
end

-- Agents and sizes of the notes that a unit has for another shard, on its way there.
local function notes_leaving(unit)
  local header, found = string.match(unit, '^[^\n]*'), {}
  if not string.find(header, '"n"', 1, true) then return found end
  local fine, parts = pcall(cjson.decode, header)
  for _, part in ipairs(fine and type(parts) == 'table' and parts or {}) do
    if part[1] == 'n' then
      local size = string.format('%.0f', tonumber(part[5]) or 0)
      found[#found + 1] = { author_of(tostring(part[7])), tonumber(size_of(size)) }
    end
  end
  return found
end
-- What a unit takes of its authors' limits goes with it, and is given to the shard that it comes to.
local function take_along(unit)
  for _, note in ipairs(notes_leaving(unit)) do change_share(note[1], -1, -note[2]) end
end

-- The line of a unit by which an agent would have more than it may; nil when it may.
local function too_much(agent, one, notes, bytes)
  local what, may, has, more = 'notes', one.notes, one.has_notes, notes
  if notes == 0 or has + notes <= may then what, may, has, more = 'bytes', one.bytes, one.has_bytes, bytes end
  if more == 0 or has + more <= may then return nil end
  return string.format('limited %s %.0f %.0f %.0f ', what, may, has, more) .. string.gsub(agent, '%c', ' ')
end

-- The line of a unit of `write` whose notes are too many, or too large, for who has written them; nil when they are not.
-- `known` keeps what agents have, with the notes of the units before this one, and first, under 1, the IDs of those that
-- come from another shard: these were judged there.
local function over_limit(known, argv, sizes, from, to)
  local i, has_come, more = from, false, {}
  local function want(agent, notes, bytes)
    known[agent] = known[agent] or standing_of(agent)
    local wanted = more[agent] or { notes = 0, bytes = 0 }
    more[agent] = { notes = wanted.notes + notes, bytes = wanted.bytes + bytes }
  end
  while i <= to do
    local part = argv[i]
    if part == 'I' then
      has_come = true
    elseif part == 'O' then
      for _, note in ipairs(notes_leaving(argv[i + 3])) do want(note[1], 1, note[2]) end
    elseif part == 'n' and has_come then
      known[1] = known[1] or {}
      known[1][argv[i + 1]] = true
    elseif part == 'n' then
      local agent, bytes = author_of(argv[i + 6]), tonumber(size_of(argv[i + 4]))
      local before = redis.call('HMGET', K.note .. argv[i + 1], 'counted', 'size')
      if before[1] and string.match(before[1], ' (.*)$') == agent then -- its own, written again
        want(agent, 0, math.max(0, bytes - tonumber(size_of(before[2]))))
      else
        want(agent, 1, bytes)
      end
    end
    i = i + sizes[part] + 1
  end
  for agent, wanted in pairs(more) do
    local line = too_much(agent, known[agent], wanted.notes, wanted.bytes)
    if line then return line end
  end
  for agent, wanted in pairs(more) do
    known[agent].has_notes = known[agent].has_notes + wanted.notes
    known[agent].has_bytes = known[agent].has_bytes + wanted.bytes
  end
  return nil
end

-- Who may have nothing more need not compute it: the line of a claim by such an agent, or nil. The claim's subject and
-- type are at argv[i].
local function at_limit(known, argv, i)
  local agent = argv[i + 1] == 'work.claimed' and string.match(argv[i], '^actor/(.*)$')
  if not agent then return nil end
  known[agent] = known[agent] or standing_of(agent)
  return too_much(agent, known[agent], 1, 1)
end

-- A note that has just been written, or was not counted yet. `known`, if there is one, is that of `over_limit`.
local function count_note(id, record, size, known)
  local agent = author_of(record)
  local count = redis.call('HGET', K.counted, ' count') or '-'
  if known and known[1] and known[1][id] then change_share(agent, 1, tonumber(size_of(size))) end
  redis.call('HSET', K.note .. id, 'counted', count .. ' ' .. agent)
  redis.call('HINCRBY', K.counted, 'notes ' .. agent, 1)
  redis.call('HINCRBY', K.counted, 'bytes ' .. agent, size_of(size))
end

-- A note that leaves, by its fields `counted`, if it has been counted, and `size`.
local function uncount_note(counted, size)
  local count, agent = string.match(counted or '', '^(%S+) (.*)$')
  if not count or redis.call('HGET', K.counted, ' count') ~= count then return end
  if redis.call('HINCRBY', K.counted, 'notes ' .. agent, -1) <= 0 then
    redis.call('HDEL', K.counted, 'notes ' .. agent, 'bytes ' .. agent)
  else
    redis.call('HINCRBY', K.counted, 'bytes ' .. agent, '-' .. size_of(size))
  end
end

-- The limits of a model, or of an agent as '@agent', which may be those of each; false when there are none.
local function limits_of(name)
  local own = redis.call('HGET', K.meta, 'limits:' .. name)
  return own or (string.byte(name) == 64 and redis.call('HGET', K.meta, 'limits:@*'))
end
