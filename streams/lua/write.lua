#!lua
-- write: every change of a shard that is an event or comes with one, as a batch of units.
-- A unit's parts stand or fall together; units are judged one by one, each seeing what those before it will have done.
--
-- KEYS[1]  the log
-- ARGV     1 routes generation, 2 producer ID, 3 number of the call, 4 token of the call, 5 producer lifetime ms,
--          6 number of units; then for each unit the number of its parts, and its parts:
--   E subject version entry                          guard: the subject is at that version (entry '' = any)
--   D inbox consumer entry count                     guard: the delivery is still this one; effect: acknowledge, delete
--   H inbox consumer entry count                     guard: the delivery is still this one; it stays where it is
--   P inbox consumer entry count failure             the same guard; effect: park it with its failure (JSON)
--   L inbox consumer entry count delay_ms attempts   the same guard; effect: let it wait in the timers
--   C key nonce                                      guard: the claim is mine and its key unchanged; effect: release it
--   c key nonce lease_ms after owner subject type meta data routes
--                                                    take the claim of a key; the event is appended if it is granted.
--                                                    after: '-' any live note of the key will do, '*' none will,
--                                                    otherwise one that came after the key's event of that entry
--   e subject type meta data routes                  effect: append an event, into the log and the inboxes in routes
--   n id key digest size ttl_ms record work has content
--                                                    effect: the event before it wrote this note; has: '1' = its content
--                                                    is here, '0' = it was uploaded, and is there or the unit is refused
--   s actor key json                                 effect: store the state of a keyed actor at its version
--
-- Answer   'ok' and a line for each unit, or one of
--          'routes' generation    the routes are stale; nothing was written
--          'gap' last             this call does not follow that producer's last one; nothing was written
--          'unknown'              this producer has expired or never was; nothing was written
-- A unit's line: 'ok version entry version entry …' | 'conflict current entry' | 'fenced' | 'stale note' |
--          'blob digest' | 'note id' | 'held ms entry owner' | 'claimed ms entry'

local SIZES = { E = 3, D = 4, H = 4, P = 5, L = 6, C = 2, c = 10, e = 5, n = 9, s = 3 }

-- 1. A repeat of the last call gets the first answer, whatever has changed since.
local producer = K.producer .. ARGV[2]
local number = tonumber(ARGV[3])
local last = redis.call('HMGET', producer, 'number', 'token', 'answer')
if last[1] then
  local past = tonumber(last[1])
  if past == number and last[2] == ARGV[4] then
    local answer = { 'ok' }
    for line in string.gmatch(last[3], '[^\n]+') do answer[#answer + 1] = line end
    return answer
  end
  if past ~= number - 1 then return { 'gap', last[1] } end
elseif number > 1 then
  return { 'unknown' }
end

-- 2. Stale routes would miss an inbox.
if not routes_fit(ARGV[1]) then return stale_routes() end

-- 3. Judge every unit before the first write. What earlier units will change stands in these overlays.
local now = clock()
local stored_version, stored_entry, version = {}, {}, {}
local settled, claims, bound, blobs = {}, {}, {}, {}

local function load(subject)
  if not version[subject] then
    stored_version[subject], stored_entry[subject] = version_of(subject)
    version[subject] = stored_version[subject]
  end
end

local function owns(inbox, consumer, entry, count)
  if settled[inbox .. ' ' .. entry] then return false end
  return holds(inbox, consumer, entry, count)
end

local function is_live(id)
  local deadline = redis.call('HGET', K.note .. id, 'deadline')
  return deadline and (deadline == '' or tonumber(deadline) > now)
end

local function live_note_of(key)
  local id = bound[key]
  if id then return id end
  id = redis.call('HGET', K.keys, key)
  return id and is_live(id) and id or nil
end

local function claim_of(key)
  if claims[key] == nil then
    local stored = redis.call('HMGET', K.claim .. key, 'nonce', 'entry', 'owner')
    claims[key] = stored[1] and { nonce = stored[1], entry = stored[2], owner = stored[3] } or false
  end
  return claims[key]
end

-- The claim's answer, without changing anything: 'note', 'held', 'claimed' (mine already), or nil: free to grant.
local function judge_claim(key, nonce, after)
  local subject = 'key/' .. key
  load(subject)
  if after ~= '*' then
    local id = live_note_of(key)
    local fresh = version[subject] ~= stored_version[subject] or stored_entry[subject] ~= after
    if id and (after == '-' or fresh) then return 'note ' .. id end
  end
  local claim = claim_of(key)
  if not claim then return nil end
  if claim.nonce == nonce then return 'claimed' end
  local left = claim.lease or redis.call('PTTL', K.claim .. key)
  return 'held ' .. left .. ' ' .. stored_entry[subject] .. ' ' .. claim.owner
end

-- A completion counts only while its claim stands and the key is as it was when claimed.
local function completes(key, nonce)
  local subject, claim = 'key/' .. key, claim_of(key)
  load(subject)
  return claim and claim.nonce == nonce and claim.entry == stored_entry[subject]
    and version[subject] == stored_version[subject]
end

local function has_blob(digest)
  return blobs[digest] or redis.call('EXISTS', K.blob .. digest) == 1
end

-- nil if every guard of the unit holds, otherwise its line.
local function judge(from, to)
  local i = from
  while i <= to do
    local part = ARGV[i]
    if part == 'D' or part == 'H' or part == 'P' or part == 'L' then
      if not owns(ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]) then return 'fenced' end
    elseif part == 'E' then
      local subject = ARGV[i + 1]
      load(subject)
      local known = version[subject] == stored_version[subject]
      if version[subject] ~= tonumber(ARGV[i + 2]) or (ARGV[i + 3] ~= '' and (not known or stored_entry[subject] ~= ARGV[i + 3])) then
        return 'conflict ' .. version[subject] .. ' ' .. (known and stored_entry[subject] or '')
      end
    elseif part == 'C' then
      if not completes(ARGV[i + 1], ARGV[i + 2]) then return 'stale ' .. (live_note_of(ARGV[i + 1]) or '-') end
    elseif part == 'n' and ARGV[i + 8] ~= '1' and not has_blob(ARGV[i + 3]) then
      return 'blob ' .. ARGV[i + 3]
    end
    i = i + SIZES[part] + 1
  end
  return nil
end

-- What the unit will have done, for those after it.
local function foresee(from, to)
  local i = from
  while i <= to do
    local part = ARGV[i]
    if part == 'e' then
      load(ARGV[i + 1])
      version[ARGV[i + 1]] = version[ARGV[i + 1]] + 1
    elseif part == 'D' or part == 'P' or part == 'L' then
      settled[ARGV[i + 1] .. ' ' .. ARGV[i + 3]] = true
    elseif part == 'C' then
      claims[ARGV[i + 1]] = false
    elseif part == 'n' then
      blobs[ARGV[i + 3]] = true
      if ARGV[i + 2] ~= '' then bound[ARGV[i + 2]] = ARGV[i + 1] end
    end
    i = i + SIZES[part] + 1
  end
end

-- Claims are judged apart: a refused claim is an answer, and its unit's other events stand.
local function judge_claims(from, to, granted)
  local i, line = from, nil
  while i <= to do
    local part = ARGV[i]
    if part == 'c' then
      line = judge_claim(ARGV[i + 1], ARGV[i + 2], ARGV[i + 4])
      if not line then
        granted[i] = true
        local subject = 'key/' .. ARGV[i + 1]
        claims[ARGV[i + 1]] = { nonce = ARGV[i + 2], owner = ARGV[i + 5], lease = ARGV[i + 3],
          entry = version[subject] == stored_version[subject] and stored_entry[subject] }
        load(ARGV[i + 6])
        version[ARGV[i + 6]] = version[ARGV[i + 6]] + 1
      end
    end
    i = i + SIZES[part] + 1
  end
  return line
end

local lines, spans, granted = {}, {}, {}
local at = 7
for unit = 1, tonumber(ARGV[6]) do
  local from, to = at + 1, at
  for _ = 1, tonumber(ARGV[at]) do to = to + SIZES[ARGV[to + 1]] + 1 end
  at = to + 1
  lines[unit] = judge(from, to) or false
  if not lines[unit] then
    foresee(from, to)
    spans[unit] = { from, to, judge_claims(from, to, granted) }
  end
end

-- 4. Write. Nothing below reads what it could refuse.
local changed, acks, unnamed = {}, {}, {}

local function put_event(i)
  local subject = ARGV[i]
  load(subject)
  local version_now = stored_version[subject] + 1
  local entry = append(subject, ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], version_now, stored_entry[subject])
  stored_version[subject], stored_entry[subject], changed[subject] = version_now, entry, true
  return entry
end

local function put_note(i, entry, base)
  local id, key, digest, ttl = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 4]
  local deadline = ttl == '' and '' or base + tonumber(ttl)
  local before = redis.call('HGET', K.note .. id, 'digest') or redis.call('HGET', K.expired, id)
  if before then -- written again under the same ID: what it held must not outlive `forget`
    drop_note(id)
    redis.call('HDEL', K.expired, id)
    unnamed[#unnamed + 1] = before
  end
  redis.call('HSET', K.note .. id, 'record', ARGV[i + 5], 'digest', digest, 'size', ARGV[i + 3],
    'deadline', deadline, 'key', key, 'entry', entry, 'work', ARGV[i + 6])
  if redis.call('EXISTS', K.blob .. digest) == 0 then
    redis.call('SET', K.blob .. digest, ARGV[i + 8])
  else
    redis.call('PERSIST', K.blob .. digest)
  end
  redis.call('HINCRBY', K.refs, digest, 1)
  redis.call('ZADD', K.deadlines, deadline == '' and '+inf' or deadline, id)
  if key ~= '' then
    redis.call('HSET', K.keys, key, id)
    redis.call('SPUBLISH', K.bell .. key, 'note ' .. id)
  end
end

local function entry_fields(inbox, entry)
  local found = redis.call('XRANGE', K.inbox .. inbox, entry, entry)
  return found[1] and found[1][2] or {}
end

local function park(inbox, entry, count, failure)
  local fields = entry_fields(inbox, entry)
  fields[#fields + 1] = 'entry'
  fields[#fields + 1] = entry
  fields[#fields + 1] = 'failure'
  fields[#fields + 1] = failure
  redis.call('XADD', K.dead .. inbox, '*', unpack(fields))
end

local function postpone(inbox, entry, delay_ms, attempts)
  local kept = {}
  local fields = entry_fields(inbox, entry)
  for f = 1, #fields, 2 do
    if fields[f] ~= 'attempts' then
      kept[#kept + 1] = fields[f]
      kept[#kept + 1] = fields[f + 1]
    end
  end
  kept[#kept + 1] = 'attempts'
  kept[#kept + 1] = attempts
  redis.call('HSET', K.waiting .. inbox, entry, cjson.encode(kept))
  redis.call('ZADD', K.timers .. inbox, now + tonumber(delay_ms), entry)
end

local function settle(inbox, entry)
  local list = acks[inbox] or {}
  list[#list + 1] = entry
  acks[inbox] = list
end

local function grant(i)
  local subject = 'key/' .. ARGV[i]
  load(subject)
  put_event(i + 5) -- first: it may be about the key itself
  redis.call('HSET', K.claim .. ARGV[i], 'nonce', ARGV[i + 1], 'entry', stored_entry[subject], 'at', now, 'owner', ARGV[i + 4])
  redis.call('PEXPIRE', K.claim .. ARGV[i], ARGV[i + 2])
end

local function claim_line(key)
  local claim = redis.call('HMGET', K.claim .. key, 'at', 'entry')
  return 'claimed ' .. claim[1] .. ' ' .. claim[2]
end

local function write(from, to, line)
  local done = { 'ok' }
  local i, entry, base = from, nil, now
  while i <= to do
    local part = ARGV[i]
    if part == 'e' then
      entry = put_event(i + 1)
      done[#done + 1] = string.format('%d', stored_version[ARGV[i + 1]])
      done[#done + 1] = entry
    elseif part == 'n' then
      put_note(i + 1, entry, base)
    elseif part == 'D' then
      settle(ARGV[i + 1], ARGV[i + 3])
    elseif part == 'P' then
      park(ARGV[i + 1], ARGV[i + 3], ARGV[i + 4], ARGV[i + 5])
      settle(ARGV[i + 1], ARGV[i + 3])
    elseif part == 'L' then
      postpone(ARGV[i + 1], ARGV[i + 3], ARGV[i + 5], ARGV[i + 6])
      settle(ARGV[i + 1], ARGV[i + 3])
    elseif part == 'C' then
      base = tonumber(redis.call('HGET', K.claim .. ARGV[i + 1], 'at')) or now -- the ttl runs from the claim
      redis.call('DEL', K.claim .. ARGV[i + 1])
    elseif part == 'c' then
      if granted[i] then grant(i + 1) end
      if granted[i] or line == 'claimed' then line = claim_line(ARGV[i + 1]) end
    elseif part == 's' then
      local subject = 'actor/' .. ARGV[i + 1] .. '/' .. ARGV[i + 2]
      load(subject)
      redis.call('HSET', K.state .. ARGV[i + 1], ARGV[i + 2], string.format('%d ', stored_version[subject]) .. ARGV[i + 3])
    end
    i = i + SIZES[part] + 1
  end
  return line or table.concat(done, ' ')
end

for unit = 1, #lines do
  if not lines[unit] then lines[unit] = write(spans[unit][1], spans[unit][2], spans[unit][3]) end
end
for _, digest in ipairs(unnamed) do unname_blob(digest) end -- last: another unit may have named the same blob
for subject in pairs(changed) do
  store_version(subject, stored_version[subject], stored_entry[subject])
end
for inbox, entries in pairs(acks) do
  for first = 1, #entries, 500 do
    local slice = { unpack(entries, first, math.min(first + 499, #entries)) }
    redis.call('XACK', K.inbox .. inbox, GROUP, unpack(slice))
    redis.call('XDEL', K.inbox .. inbox, unpack(slice))
  end
end

-- 5. Keep the answer for a repeat.
redis.call('HSET', producer, 'number', number, 'token', ARGV[4], 'answer', table.concat(lines, '\n'))
redis.call('PEXPIRE', producer, ARGV[5])
table.insert(lines, 1, 'ok')
return lines
