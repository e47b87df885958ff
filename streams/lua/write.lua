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
--   L inbox consumer entry count delay_ms attempts tried
--                                                    the same guard; effect: let it wait in the timers; tried: JSON of
--                                                    how this attempt failed, or ''
--   A id                                             guard: the timer is still set; effect: take it away
--   W inbox                                          who handles a delivery of that inbox writes this, at once
--   G inbox generation                               guard: the lane with that inbox is the worker's since that generation
--   b inbox entry attempt                            effect: this attempt was begun last
--   h inbox key entry                                effect, behind a P: the key halts, and what comes after that entry waits
--   o inbox key                                      effect: a key that was halted goes on
--   C key nonce                                      guard: the claim is mine and its key unchanged; effect: release it
--   c key nonce lease_ms after owner subject type meta data routes
--                                                    take the claim of a key; the event is appended if it is granted.
--                                                    after: '-' any live note of the key will do, '*' none will,
--                                                    otherwise one that came after the key's event of that entry
--   e subject type meta data routes                  effect: append an event, into the log and the inboxes in routes
--   T id in|at ms subject type meta data             effect: set a timer: that event is to be appended in so many ms, or
--                                                    at that time; its meta bears the ID. Nothing if it is set already
--   n id key digest size ttl_ms record work has content
--                                                    effect: the event before it wrote this note; has: '1' = its content
--                                                    is here, '0' = it was uploaded, and is there or the unit is refused
--   s actor key json                                 effect: store the state of a keyed actor at its version
--   O shard most unit digests                        effect: into the outbox for that shard, if it has less than `most`: a
--                                                    unit; the contents that it needs (digests, 'a,b') are held here
--   I shard after name                               guard: the last that came from that shard's outbox has the name
--                                                    `after` ('' = none has); effect: from now on it is this one
--   i inbox fields                                   effect: an entry of that inbox in another shard (JSON) is one here
--
-- Answer   'ok' and a line for each unit, or one of
--          'routes' generation    the routes are stale; nothing was written
--          'gap' last             this call does not follow that producer's last one; nothing was written
--          'unknown'              this producer has expired or never was; nothing was written
-- A unit's line: 'ok version entry version entry …' | 'conflict current entry' | 'fenced' | 'stale note' |
--          'full wait|refuse limit inbox' | 'outbox shard' | 'behind name' | 'blob digest' | 'note id' |
--          'held ms entry owner' | 'claimed ms entry' | 'limited notes|bytes limit has more agent'

local argv = ARGV -- a global costs a look-up each time
local PAGE = 500 -- of what one command takes: `unpack` fails at thousands
local SIZES = { E = 3, D = 4, H = 4, P = 5, L = 7, G = 2, b = 3, h = 3, o = 2, W = 1, C = 2, c = 10, e = 5, n = 9, s = 3,
  A = 1, T = 7, O = 4, I = 3, i = 2 }

-- 1. A repeat of the last call gets the first answer, whatever has changed since.
local producer = K.producer .. argv[2]
local number = tonumber(argv[3])
local last = call('HMGET', producer, 'number', 'token', 'answer')
if last[1] then
  local past = tonumber(last[1])
  if past == number and last[2] == argv[4] then
    call('PEXPIRE', producer, argv[5]) -- a write: who waits for replicas or the disk, waits for this connection's last
    local answer = { 'ok' }
    for line in string.gmatch(last[3], '[^\n]+') do answer[#answer + 1] = line end
    return answer
  end
  if past ~= number - 1 then return { 'gap', last[1] } end
elseif number > 1 then
  return { 'unknown' }
end

-- 2. Stale routes would miss an inbox.
if not routes_fit(argv[1]) then
  -- prelude: clock, hold_of, raise_generation, end_hold, is_held, stale_routes
  return stale_routes()
end

-- 3. Where each unit ends, and what is stored of the subjects of all its events: one read for hundreds of them.
local ends, plain = {}, true -- plain: there are only events, which nothing refuses
local fences, fence, simple = {}, nil, true -- simple: only events and acknowledgements, as most workers send them
local subjects, stored_version, stored_entry = {}, {}, {} -- subjects: each once
local routed = {} -- how many events go to each list of inboxes
local at = 7
for unit = 1, tonumber(argv[6]) do
  local parts = tonumber(argv[at])
  at = at + 1
  for _ = 1, parts do
    local part = argv[at]
    if part == 'e' then
      local subject = argv[at + 1]
      if not stored_version[subject] then
        stored_version[subject] = 0
        subjects[#subjects + 1] = subject
      end
      local routes = argv[at + 5] or ''
      if routes ~= '' then routed[routes] = (routed[routes] or 0) + 1 end
    elseif part == 'D' then
      local inbox, consumer = argv[at + 1], argv[at + 2]
      if not fence or fence.inbox ~= inbox or fence.consumer ~= consumer then
        local name = inbox .. ' ' .. consumer
        fence = fences[name] or { inbox = inbox, consumer = consumer, first = argv[at + 3], size = 0 }
        fences[name] = fence
      end
      fence.last, fence.size, plain = argv[at + 3], fence.size + 1, false
    elseif part == 'G' then
      plain = false
    else
      plain, simple = false, false
    end
    at = at + SIZES[part] + 1
  end
  ends[unit] = at - 1
end
if at ~= #argv + 1 then return redis.error_reply('ERR the arguments are not those of whole units') end
local near -- inboxes that this call could fill: units may be refused
if next(routed) then
  -- prelude: inbox_length, nearly_full
  near = nearly_full(routed)
  if near then plain, simple = false, false end
end
for first = 1, #subjects, PAGE do
  local stored = call('HMGET', K.versions, unpack(subjects, first, math.min(first + PAGE - 1, #subjects)))
  for i = 1, #stored do
    local subject = subjects[first + i - 1]
    stored_version[subject], stored_entry[subject] = parse_version(stored[i])
  end
end

-- 4. What every call does. All else stands below a call of events alone: the server makes functions anew for each call.
local changed = {}
local words, said = {}, 0 -- versions and entries, for the units' lines
local decimal = {} -- versions as text: made once

local function put_event(i)
  local subject = argv[i]
  local number = stored_version[subject] + 1
  local text = decimal[number]
  if not text then
    text = format('%d', number)
    decimal[number] = text
  end
  local previous, entry = stored_entry[subject], nil
  if previous == '' then
    entry = call('XADD', K.log, '*', 'type', argv[i + 1], 'subject', subject, 'ver', text, 'meta', argv[i + 2],
      'data', argv[i + 3])
  else
    entry = call('XADD', K.log, '*', 'type', argv[i + 1], 'subject', subject, 'ver', text, 'meta', argv[i + 2],
      'data', argv[i + 3], 'prev', previous)
  end
  if argv[i + 4] ~= '' then copy(entry, argv[i + 4], subject, argv[i + 1], argv[i + 2], argv[i + 3], text) end
  stored_version[subject], stored_entry[subject], changed[subject] = number, entry, true
  words[said + 1], words[said + 2] = text, entry
  said = said + 2
  return entry
end

-- The line of a unit whose events are the words from there on.
local function line_from(first)
  if said == first + 1 then return 'ok ' .. words[first] .. ' ' .. words[said] end
  return said < first and 'ok' or 'ok ' .. concat(words, ' ', first, said)
end

-- The versions are stored once a subject; the answer is kept for a repeat.
local function finish(lines)
  local news = {}
  for _, subject in ipairs(subjects) do
    if changed[subject] then
      news[#news + 1] = subject
      news[#news + 1] = decimal[stored_version[subject]] .. ' ' .. stored_entry[subject]
    end
  end
  for first = 1, #news, PAGE do
    call('HSET', K.versions, unpack(news, first, math.min(first + PAGE - 1, #news)))
  end
  call('HSET', producer, 'number', number, 'token', argv[4], 'answer', concat(lines, '\n'))
  call('PEXPIRE', producer, argv[5])
  table.insert(lines, 1, 'ok')
  return lines
end

if plain then
  local lines, from = {}, 8
  for unit = 1, #ends do
    local first = said + 1
    for i = from + 1, ends[unit], 6 do put_event(i) end
    lines[unit] = line_from(first)
    from = ends[unit] + 2
  end
  return finish(lines)
end

-- Whether a delivery is still that consumer's. One read tells it of most that the call acknowledges: their entries come
-- in order. What that read does not show is asked for alone.
local function owns(inbox, consumer, entry, count)
  local fence = fences[inbox .. ' ' .. consumer]
  if fence and fence.size > 1 then
    if not fence.counts then
      fence.counts = {}
      local most = math.min(fence.size + 100, 1000)
      local rows = redis.pcall('XPENDING', K.inbox .. inbox, GROUP, fence.first, fence.last, most, consumer)
      if not rows.err then
        for i = 1, #rows do fence.counts[rows[i][1]] = rows[i][4] end
      end
    end
    local held = fence.counts[entry]
    if held then return held == tonumber(count) end
  end
  return holds(inbox, consumer, entry, count)
end

local generations = {} -- of lanes

local acks = {}

local function settle(inbox, entry)
  local list = acks[inbox]
  if not list then
    list = {}
    acks[inbox] = list
  end
  list[#list + 1] = entry
end

local function acknowledge()
  for inbox, entries in pairs(acks) do
    local tried = call('EXISTS', K.tries .. inbox) == 1 -- seldom: then nobody need ask for each entry
    for first = 1, #entries, PAGE do
      local last = math.min(first + PAGE - 1, #entries)
      call('XACK', K.inbox .. inbox, GROUP, unpack(entries, first, last))
      call('XDEL', K.inbox .. inbox, unpack(entries, first, last))
      if tried then call('HDEL', K.tries .. inbox, unpack(entries, first, last)) end
    end
  end
end

if simple then
  local lines, from, settled = {}, 8, {}
  for unit = 1, #ends do -- every unit is judged before the first write
    local i = from
    while i <= ends[unit] do
      local name = argv[i] == 'D' and argv[i + 1] .. ' ' .. argv[i + 3]
      if name and (settled[name] or not owns(argv[i + 1], argv[i + 2], argv[i + 3], argv[i + 4])) then
        lines[unit] = 'fenced'
      elseif argv[i] == 'G' and not is_current(generations, argv[i + 1], argv[i + 2]) then
        lines[unit] = 'fenced'
      end
      i = i + SIZES[argv[i]] + 1
    end
    i = lines[unit] and ends[unit] + 1 or from
    while i <= ends[unit] do
      if argv[i] == 'D' then settled[argv[i + 1] .. ' ' .. argv[i + 3]] = true end
      i = i + SIZES[argv[i]] + 1
    end
    from = ends[unit] + 2
  end
  from = 8
  for unit = 1, #ends do
    local first, i = said + 1, lines[unit] and ends[unit] + 1 or from
    while i <= ends[unit] do
      if argv[i] == 'e' then
        put_event(i + 1)
        i = i + 6
      elseif argv[i] == 'D' then
        settle(argv[i + 1], argv[i + 3])
        i = i + 5
      else
        i = i + 3
      end
    end
    lines[unit] = lines[unit] or line_from(first)
    from = ends[unit] + 2
  end
  acknowledge()
  return finish(lines)
end

-- prelude: author_of, standing_of, change_share, notes_leaving, too_much, over_limit, at_limit, count_note, uncount_note
-- prelude: clock, version_of, list_parked, add_attempt, entry_fields, park, postpone, fill, crowded
-- prelude: unname_blob, drop_note, set_timer, unset_timer, push_of, put_note, inbox_length, judge_passage, put_in, put_out

-- 5. Judge every unit before the first write. What earlier units will change stands in these overlays.
local now = clock()
local version, settled, claims, bound, blobs, came = {}, {}, {}, {}, {}, {}
local has = call('EXISTS', K.counted) == 1 and {} or nil -- what agents that are limited have

local function load(subject)
  if not stored_version[subject] then
    subjects[#subjects + 1] = subject
    stored_version[subject], stored_entry[subject] = version_of(subject)
  end
  version[subject] = version[subject] or stored_version[subject]
end

local function is_live(id)
  local deadline = call('HGET', K.note .. id, 'deadline')
  return deadline and (deadline == '' or tonumber(deadline) > now)
end

local function live_note_of(key)
  local id = bound[key]
  if id then return id end
  id = call('HGET', K.keys, key)
  return id and is_live(id) and id or nil
end

local function claim_of(key)
  if claims[key] == nil then
    local stored = call('HMGET', K.claim .. key, 'nonce', 'entry', 'owner')
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
  local left = claim.lease or call('PTTL', K.claim .. key)
  return 'held ' .. left .. ' ' .. stored_entry[subject] .. ' ' .. claim.owner
end

-- A completion counts only while its claim stands and the key is as it was when claimed.
local function completes(key, nonce)
  local subject, claim = 'key/' .. key, claim_of(key)
  load(subject)
  return claim and claim.nonce == nonce and claim.entry == stored_entry[subject]
    and version[subject] == stored_version[subject]
end

-- nil if every guard of the unit holds, otherwise its line.
local function judge(from, to)
  local i = from
  while i <= to do
    local part = argv[i]
    if part == 'D' or part == 'H' or part == 'P' or part == 'L' then
      if settled[argv[i + 1] .. ' ' .. argv[i + 3]] then return 'fenced' end
      if not owns(argv[i + 1], argv[i + 2], argv[i + 3], argv[i + 4]) then return 'fenced' end
    elseif part == 'G' then
      if not is_current(generations, argv[i + 1], argv[i + 2]) then return 'fenced' end
    elseif part == 'E' then
      local subject = argv[i + 1]
      load(subject)
      local known = version[subject] == stored_version[subject]
      if version[subject] ~= tonumber(argv[i + 2]) or (argv[i + 3] ~= '' and (not known or stored_entry[subject] ~= argv[i + 3])) then
        return 'conflict ' .. version[subject] .. ' ' .. (known and stored_entry[subject] or '')
      end
    elseif part == 'C' then
      if not completes(argv[i + 1], argv[i + 2]) then return 'stale ' .. (live_note_of(argv[i + 1]) or '-') end
    elseif part == 'A' then
      if settled[argv[i + 1]] or not call('ZSCORE', K.later, argv[i + 1]) then return 'fenced' end
    elseif part == 'n' and argv[i + 8] ~= '1' and not blobs[argv[i + 3]] and call('EXISTS', K.blob .. argv[i + 3]) == 0 then
      return 'blob ' .. argv[i + 3]
    elseif part == 'O' or part == 'I' or part == 'i' then
      local line = judge_passage(argv, i, came)
      if line then return line end
    end
    i = i + SIZES[part] + 1
  end
  return near and crowded(near, argv, SIZES, from, to) or has and over_limit(has, argv, SIZES, from, to) or nil
end

-- What the unit will have done, for those after it.
local function foresee(from, to)
  local i = from
  while i <= to do
    local part = argv[i]
    if part == 'e' then
      load(argv[i + 1])
      version[argv[i + 1]] = version[argv[i + 1]] + 1
      if near then fill(near, argv[i + 5], 1) end
    elseif part == 'D' or part == 'P' or part == 'L' then
      settled[argv[i + 1] .. ' ' .. argv[i + 3]] = true
      if near and part ~= 'L' then fill(near, argv[i + 1], -1) end
    elseif part == 'A' then
      settled[argv[i + 1]] = true
    elseif part == 'C' then
      claims[argv[i + 1]] = false
    elseif part == 'I' then
      came[argv[i + 1]] = argv[i + 3]
    elseif part == 'n' then
      blobs[argv[i + 3]] = true
      if argv[i + 2] ~= '' then bound[argv[i + 2]] = argv[i + 1] end
    end
    i = i + SIZES[part] + 1
  end
end

-- Claims are judged apart: a refused claim is an answer, and its unit's other events stand.
local function judge_claims(from, to, granted)
  local i, line = from, nil
  while i <= to do
    local part = argv[i]
    if part == 'c' then
      line = judge_claim(argv[i + 1], argv[i + 2], argv[i + 4]) or has and at_limit(has, argv, i + 6) or nil
      if not line then
        granted[i] = true
        local subject = 'key/' .. argv[i + 1]
        claims[argv[i + 1]] = { nonce = argv[i + 2], owner = argv[i + 5], lease = argv[i + 3],
          entry = version[subject] == stored_version[subject] and stored_entry[subject] }
        load(argv[i + 6])
        version[argv[i + 6]] = version[argv[i + 6]] + 1
      end
    end
    i = i + SIZES[part] + 1
  end
  return line
end

local refused, claim_lines, granted = {}, {}, {}
local from = 8
for unit = 1, #ends do
  refused[unit] = judge(from, ends[unit])
  if not refused[unit] then
    foresee(from, ends[unit])
    claim_lines[unit] = judge_claims(from, ends[unit], granted)
  end
  from = ends[unit] + 2
end

-- 6. Write. Nothing below reads what it could refuse.
local unnamed = {}

local function grant(i)
  local subject = 'key/' .. argv[i]
  load(subject)
  local at = string.match(put_event(i + 5), '^%d+') -- first: it may be about the key itself
  call('HSET', K.claim .. argv[i], 'nonce', argv[i + 1], 'entry', stored_entry[subject], 'at', at, 'owner', argv[i + 4])
  call('PEXPIRE', K.claim .. argv[i], argv[i + 2])
end

local function claim_line(key)
  local claim = call('HMGET', K.claim .. key, 'at', 'entry')
  return 'claimed ' .. claim[1] .. ' ' .. claim[2]
end

-- Answers the unit's line. `line` is what has been judged of its claim.
local function write(from, to, line)
  local first = said + 1
  local i, entry, claimed = from, nil, nil
  while i <= to do
    local part = argv[i]
    if part == 'e' then
      entry = put_event(i + 1)
    elseif part == 'n' then
      put_note(argv, i + 1, entry, claimed, now, unnamed, has)
    elseif part == 'D' then
      settle(argv[i + 1], argv[i + 3])
    elseif part == 'P' then
      park(argv[i + 1], argv[i + 3], argv[i + 4], argv[i + 5], i + 6 <= to and argv[i + 6] == 'h')
      settle(argv[i + 1], argv[i + 3])
    elseif part == 'L' then
      postpone(argv[i + 1], argv[i + 3], argv[i + 5], argv[i + 6], argv[i + 7], now)
      settle(argv[i + 1], argv[i + 3])
    elseif part == 'b' then
      call('HSET', K.tries .. argv[i + 1], argv[i + 2], argv[i + 3])
    elseif part == 'h' then
      halt_key(argv[i + 1], argv[i + 2], argv[i + 3])
    elseif part == 'o' then
      let_go_on(argv[i + 1], argv[i + 2])
    elseif part == 'C' then
      claimed = tonumber(call('HGET', K.claim .. argv[i + 1], 'at')) -- the ttl runs from it
      call('DEL', K.claim .. argv[i + 1])
    elseif part == 'c' then
      if granted[i] then grant(i + 1) end
      if granted[i] or line == 'claimed' then line = claim_line(argv[i + 1]) end
    elseif part == 'A' then
      unset_timer(argv[i + 1])
    elseif part == 'T' then
      set_timer(argv, i + 1, now)
    elseif part == 'O' then
      put_out(argv, i + 1, has)
    elseif part == 'i' then
      put_in(argv, i + 1)
    elseif part == 'I' then
      call('HSET', K.came, argv[i + 1], argv[i + 3])
    elseif part == 's' then
      local subject = 'actor/' .. argv[i + 1] .. '/' .. argv[i + 2]
      load(subject)
      call('HSET', K.state .. argv[i + 1], argv[i + 2], format('%d ', stored_version[subject]) .. argv[i + 3])
    end
    i = i + SIZES[part] + 1
  end
  return line or line_from(first)
end

local lines = {}
from = 8
for unit = 1, #ends do
  lines[unit] = refused[unit] or write(from, ends[unit], claim_lines[unit])
  from = ends[unit] + 2
end
for _, digest in ipairs(unnamed) do unname_blob(digest) end -- last: another unit may have named the same blob
acknowledge()

return finish(lines)
