-- prelude: what every script that writes shares. It stands before the body of each, after the key names (keys.py), or
-- where the body says so.
-- Nothing here runs by itself. A script reads and checks first, and writes last: Lua has no rollback.

-- Names that are used for each of hundreds of events: a global costs a look-up each time.
local call, format, concat = redis.call, string.format, table.concat

-- The server's clock in whole milliseconds: the only one that counts for deadlines and leases.
local function clock()
  local t = call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- The routes a writer has cached are those of this generation, or nothing may be written. That of a hold (see `hold`)
-- begins with an h, and never fits: while it stands nothing is appended.
local function routes_fit(generation)
  return call('HGET', K.meta, 'generation') == generation and string.byte(generation) ~= 104
end

-- Until when the shard is held, by the server's clock, and by whom; nil when it is not.
local function hold_of()
  local till, token = string.match(call('HGET', K.meta, 'generation') or '', '^held:(%d+):(.*)$')
  return tonumber(till), token
end

-- The routes have changed. The time in the name keeps it from coming again after a server that lost its last second.
-- What is held stays held: the end of it raises the generation.
local function raise_generation()
  local changes, till = call('HINCRBY', K.meta, 'changes', 1), hold_of()
  if till and till > clock() then return end
  call('HSET', K.meta, 'generation', format('%s:%d:%d', call('HGET', K.meta, 'epoch'), changes, clock()))
end

local function end_hold()
  call('HSET', K.meta, 'generation', '')
  raise_generation()
end

-- Whether the shard is held. A hold whose time is over ends here, for who held it may be dead.
local function is_held()
  local till = hold_of()
  if till and till <= clock() then
    end_hold()
    till = nil
  end
  return till ~= nil
end

local function stale_routes()
  is_held()
  return { 'routes', call('HGET', K.meta, 'generation') or '' }
end

-- A write that changes nothing. Who waits for replicas or for the disk waits for what its connection has written last:
-- a repeat of what has been done already must write, too.
local function touch()
  call('HSET', K.meta, 'changes', call('HGET', K.meta, 'changes'))
end

-- Whether a delivery is still that consumer's, at that count. An inbox that was taken away has none: no error, because
-- others' units may stand in the same call.
local function holds(inbox, consumer, entry, count)
  local pending = redis.pcall('XPENDING', K.inbox .. inbox, GROUP, entry, entry, 1, consumer)
  return not pending.err and #pending == 1 and pending[1][4] == tonumber(count)
end

-- A lane's generation, the end of its lease by the server's clock, and who owns it; 0, 0 and '' for one never owned.
local function lane_of(inbox, lane)
  local stored = call('HGET', K.lanes .. inbox, lane)
  if not stored then return 0, 0, '' end
  local generation, till, owner = string.match(stored, '^(%d+) (%d+) (.*)$')
  return tonumber(generation), tonumber(till), owner
end

-- Whether a lane is still that consumer's, since that generation. Its lease may be over: nobody has taken it yet.
local function owns_lane(inbox, lane, generation, consumer)
  local now, _, owner = lane_of(inbox, lane)
  return now == tonumber(generation) and owner == consumer
end

local function store_lane(inbox, lane, generation, till, owner)
  call('HSET', K.lanes .. inbox, lane, format('%d %d %s', generation, till, owner))
end

-- Whether the lane with that inbox is still what it was when its worker took it. `generations` keeps what was read.
local function is_current(generations, inbox, generation)
  if not generations[inbox] then
    local lane, base = string.match(inbox, '^(%d+)/(.*)$')
    generations[inbox] = lane_of(base, lane)
  end
  return generations[inbox] == tonumber(generation)
end

-- A key stands still: what comes after that entry of its lane waits apart, or after an earlier one that does already.
local function halt_key(inbox, key, entry)
  local first = string.match(call('HGET', K.stalled .. inbox, key) or '', '(%S+)$')
  call('HSET', K.stalled .. inbox, key, 'halted - ' .. (first or entry))
end

local function let_go_on(inbox, key)
  local first = string.match(call('HGET', K.stalled .. inbox, key) or '', '^halted %S+ (%S+)$')
  if first then call('HSET', K.stalled .. inbox, key, 'open - ' .. first) end
end

-- Workers that wait for entries wake up, and look at who has which lane.
local function announce(inbox, word)
  call('XADD', K.news .. inbox, 'MAXLEN', 8, '*', 'word', word)
end

-- The actor's inbox of '3/Actor', which is the inbox of a lane; any other is its own.
local function base_of(inbox)
  return string.match(inbox, '^%d+/(.*)$') or inbox
end

-- A parked delivery has an ID of its own, and is found by it and by its time, whatever the number of inboxes.
local function list_parked(inbox, entry, base, parked)
  local shard = string.match(K.log, '%.([1-9]%d*)}:log$') -- of all but the first: entries are alike in several shards
  local id = string.sub(redis.sha1hex((shard and shard .. '/' or '') .. inbox .. ' ' .. entry), 1, 24)
  call('ZADD', K.parked, string.match(parked, '^%d+'), id .. ' ' .. base .. ' ' .. parked)
end

-- What a delivery carries along of its failed attempts: how many, and a line for each, the server's time and JSON. When
-- it becomes too much the first lines go: the last tell most.
local function add_attempt(fields, attempts, tried, failed, now)
  if failed ~= '' then tried = format('%s%d %s\n', tried, now, failed) end
  while #tried > 16384 do tried = string.match(tried, '\n(.*)') or '' end
  fields[#fields + 1] = 'attempts'
  fields[#fields + 1] = attempts
  if tried ~= '' then
    fields[#fields + 1] = 'tried'
    fields[#fields + 1] = tried
  end
end

local function entry_fields(inbox, entry)
  local found = call('XRANGE', K.inbox .. inbox, entry, entry)
  return found[1] and found[1][2] or {}
end

-- Out of the inbox, which the caller sees to, to where a person decides. What a lane parks is its actor's.
local function park(inbox, entry, count, failure, halted)
  local fields = entry_fields(inbox, entry)
  fields[#fields + 1] = 'entry'
  fields[#fields + 1] = entry
  fields[#fields + 1] = 'failure'
  fields[#fields + 1] = failure
  if halted then -- its key stands still until a person decides
    fields[#fields + 1] = 'halted'
    fields[#fields + 1] = '1'
  end
  local base = base_of(inbox)
  list_parked(inbox, entry, base, call('XADD', K.dead .. base, '*', unpack(fields)))
end

-- Out of the inbox, which the caller sees to, and back into it when the time has come.
local function postpone(inbox, entry, delay_ms, attempts, failed, now)
  local kept, tried = {}, ''
  local fields = entry_fields(inbox, entry)
  for f = 1, #fields, 2 do
    if fields[f] == 'tried' then
      tried = fields[f + 1]
    elseif fields[f] ~= 'attempts' then
      kept[#kept + 1] = fields[f]
      kept[#kept + 1] = fields[f + 1]
    end
  end
  add_attempt(kept, attempts, tried, failed, now)
  call('HSET', K.waiting .. inbox, entry, cjson.encode(kept))
  call('ZADD', K.timers .. inbox, now + tonumber(delay_ms), entry)
end

-- A subject's version and the entry of its last event; 0 and '' when there is none.
local function parse_version(stored)
  if not stored then return 0, '' end
  local gap = string.find(stored, ' ', 1, true)
  return tonumber(string.sub(stored, 1, gap - 1)), string.sub(stored, gap + 1)
end

local function version_of(subject)
  return parse_version(call('HGET', K.versions, subject))
end

-- Copy an event into the inboxes named in routes ('a,b').
local function copy(entry, routes, subject, kind, meta, data, version)
  for inbox in string.gmatch(routes, '[^,]+') do
    call('XADD', K.inbox .. inbox, '*', 'type', kind, 'subject', subject, 'ver', version, 'meta', meta,
      'data', data, 'pos', entry)
  end
end

-- How much is in an inbox: what stands there, what waits in its timers and will be back, what its keys have set aside.
-- Lanes are not looked through: who sorts keeps them short.
local function inbox_length(inbox)
  return call('XLEN', K.inbox .. inbox) + call('ZCARD', K.timers .. inbox)
    + (call('HGET', K.lanes .. inbox, 'aside') or 0)
end

-- Of the inboxes in these lists of routes (list -> how many events name it) those that so many events could fill: each
-- with its length, its bound, and what becomes of who meets it. nil when there is none: the events all fit. A list that
-- begins with a comma names inboxes that take the event however full they are.
local function nearly_full(lists)
  local more, found = {}, nil
  for routes, count in pairs(lists) do
    for inbox in string.gmatch(routes, '[^,]+') do more[inbox] = (more[inbox] or 0) + count end
  end
  for inbox, count in pairs(more) do
    local limit, when = string.match(call('HGET', K.bounds, inbox) or '', '^(%d+) (%a+)$')
    local length = limit and inbox_length(inbox)
    if limit and length + count > tonumber(limit) then
      found = found or {}
      found[inbox] = { length = length, limit = tonumber(limit), when = when }
    end
  end
  return found
end

-- What the inboxes in routes will hold, for the units behind this one.
local function fill(near, routes, count)
  for inbox in string.gmatch(routes, '[^,]+') do
    if near[inbox] then near[inbox].length = near[inbox].length + count end
  end
end

-- The line of a unit of `write` that an inbox has no room for, or nil. An append from outside meets the bound, what a
-- worker writes twice that: what has come in can go on. A worker's own inbox takes all of it: who else would empty it?
local function crowded(near, argv, sizes, from, to)
  local own, most, lists, i = {}, 1, {}, from
  while i <= to do
    local part = argv[i]
    if part == 'D' or part == 'H' or part == 'P' or part == 'L' or part == 'W' then
      own[base_of(argv[i + 1])], most = true, 2
    elseif part == 'e' and string.sub(argv[i + 5], 1, 1) ~= ',' then
      lists[argv[i + 5]] = true
    end
    i = i + sizes[part] + 1
  end
  for routes in pairs(lists) do
    for inbox in string.gmatch(routes, '[^,]+') do
      local bound = not own[inbox] and near[inbox]
      if bound and bound.length >= bound.limit * most then
        return format('full %s %d %s', bound.when, bound.limit, inbox)
      end
    end
  end
  return nil
end

local function store_version(subject, version, entry)
  call('HSET', K.versions, subject, format('%d %s', version, entry))
end

-- Append one event at whatever version its subject has. The script `write` does the same for many, in its own way.
local function append_next(subject, kind, meta, data, routes)
  local version, previous = version_of(subject)
  local entry
  if previous == '' then
    entry = call('XADD', K.log, '*', 'type', kind, 'subject', subject, 'ver', version + 1, 'meta', meta, 'data', data)
  else
    entry = call('XADD', K.log, '*', 'type', kind, 'subject', subject, 'ver', version + 1, 'meta', meta, 'data', data,
      'prev', previous)
  end
  if routes ~= '' then copy(entry, routes, subject, kind, meta, data, version + 1) end
  store_version(subject, version + 1, entry)
  return entry
end

-- Whether an earlier attempt of a repeated call, whose answer was lost, has appended the event with this meta: it stands
-- among the subject's last ones.
local function has_appended(subject, meta)
  local _, entry = version_of(subject)
  for _ = 1, 200 do
    local event = entry and entry ~= '' and call('XRANGE', K.log, entry, entry)[1]
    if not event then return false end
    if event[2][8] == meta then return true end
    entry = event[2][12]
  end
  return false
end

-- One event less names the blob; with the last one it goes.
local function unname_blob(digest)
  if digest and call('HINCRBY', K.refs, digest, -1) <= 0 then
    call('HDEL', K.refs, digest)
    call('DEL', K.blob .. digest)
  end
end

-- Whether the event at an entry has left for the archive.
local function is_trimmed(entry)
  local horizon_ms, horizon_seq = string.match(call('HGET', K.meta, 'horizon') or '', '^(%d+)-(%d+)$')
  local ms, seq = string.match(entry or '', '^(%d+)-(%d+)$')
  if not horizon_ms or not ms then return false end
  ms, horizon_ms = tonumber(ms), tonumber(horizon_ms)
  return ms < horizon_ms or (ms == horizon_ms and tonumber(seq) <= tonumber(horizon_seq))
end

-- A key that means nothing any more, that nobody computes, and whose events have left: its versions begin anew.
local function close_key(key)
  if not key or key == '' or call('HEXISTS', K.keys, key) == 1 or call('EXISTS', K.claim .. key) == 1 then return end
  local _, entry = version_of('key/' .. key)
  if is_trimmed(entry) then call('HDEL', K.versions, 'key/' .. key) end
end

-- Take a note out of the projection: its record, its deadline, its key if the key still means it.
local function drop_note(id)
  local known = call('HMGET', K.note .. id, 'key', 'counted', 'size')
  if known[1] and call('HGET', K.keys, known[1]) == id then call('HDEL', K.keys, known[1]) end
  if known[2] then uncount_note(known[2], known[3]) end
  call('ZREM', K.deadlines, id)
  call('DEL', K.note .. id)
end

-- An event that is to be appended later: the first time it is set counts. Who rings is told when it is the next one.
local function set_timer(argv, i, now)
  local id, ms = argv[i], tonumber(argv[i + 2])
  local letter = cjson.encode({ argv[i + 3], argv[i + 4], argv[i + 5], argv[i + 6] })
  if call('HSETNX', K.letters, id, letter) == 0 then return end
  call('ZADD', K.later, argv[i + 1] == 'in' and now + ms or ms, id)
  if call('ZRANGE', K.later, 0, 0)[1] == id then call('SPUBLISH', K.bell .. ' timers', 'set') end
end

local function unset_timer(id)
  call('ZREM', K.later, id)
  call('HDEL', K.letters, id)
end

-- What is pushed about a computed note: with all that there is of it if that is little, so that none of those who wait
-- for it need ask.
local function push_of(argv, i, entry, left)
  local record, work, content = argv[i + 5], argv[i + 6], argv[i + 8]
  if argv[i + 7] ~= '1' or #record + #work + #content > 16384 then return 'note ' .. argv[i] end
  return format('note %s %s %s %d %d\n', argv[i], left, entry, #record, #work) .. record .. work .. content
end

-- The note of a part `n` of `write`, whose words begin at argv[i]. Its time to live runs from its claim, if it had one,
-- or else from its event, by the time in the entry: some servers' clocks go on within a script, and the log must tell
-- the deadline. Digests that are named by one event less are added to `unnamed`. `known`: agents are limited.
local function put_note(argv, i, entry, claimed, now, unnamed, known)
  local id, key, digest, ttl = argv[i], argv[i + 1], argv[i + 2], argv[i + 4]
  local deadline = ttl == '' and '' or (claimed or string.match(entry, '^%d+')) + tonumber(ttl)
  local before = call('HGET', K.note .. id, 'digest') or call('HGET', K.expired, id)
  if before then -- written again under the same ID: what it held must not outlive `forget`
    drop_note(id)
    call('HDEL', K.expired, id)
    unnamed[#unnamed + 1] = before
  end
  call('HSET', K.note .. id, 'record', argv[i + 5], 'digest', digest, 'size', argv[i + 3],
    'deadline', deadline, 'key', key, 'entry', entry, 'work', argv[i + 6])
  if known then count_note(id, argv[i + 5], argv[i + 3], known) end
  if call('EXISTS', K.blob .. digest) == 0 then
    call('SET', K.blob .. digest, argv[i + 8])
  else
    call('PERSIST', K.blob .. digest)
  end
  call('HINCRBY', K.refs, digest, 1)
  call('ZADD', K.deadlines, deadline == '' and '+inf' or deadline, id)
  if key ~= '' then
    local left = deadline == '' and '-' or deadline - now
    call('HSET', K.keys, key, id)
    call('SPUBLISH', K.bell .. key, claimed and push_of(argv, i, entry, left) or 'note ' .. id)
  end
end

-- Between shards. `came` is what the units before this one will have let in. What comes names what must have come before
-- it from the same outbox: a relay that was frozen, or doubles another, brings nothing twice and leaves nothing out.
local function judge_passage(argv, i, came)
  if argv[i] == 'I' then
    local last = came[argv[i + 1]] or call('HGET', K.came, argv[i + 1]) or ''
    return last ~= argv[i + 2] and 'behind ' .. last or nil
  end
  if argv[i] == 'i' then
    local inbox = argv[i + 1]
    local limit = string.match(call('HGET', K.bounds, inbox) or '', '^(%d+) ')
    if call('HEXISTS', K.routes, inbox) == 0 then -- not yet there, unless it was a run's, which has ended
      return not string.find(inbox, '@', 1, true) and 'full wait 0 ' .. inbox or nil
    end
    return limit and inbox_length(inbox) >= 2 * limit and format('full wait %s %s', limit, inbox) or nil
  end
  if call('XLEN', K.outbox .. argv[i + 1]) >= tonumber(argv[i + 2]) then return 'outbox ' .. argv[i + 1] end
  for digest in string.gmatch(argv[i + 4], '%x+') do
    if call('EXISTS', K.blob .. digest) == 0 then return 'blob ' .. digest end
  end
  return nil
end

-- An entry of the same inbox in another shard.
local function put_in(argv, i)
  if call('HEXISTS', K.routes, argv[i]) == 1 then
    call('XADD', K.inbox .. argv[i], '*', unpack(cjson.decode(argv[i + 1])))
  end
end

-- Contents are held by name until the relay has brought them over. An entry's name has the token of its call, so that
-- one that takes the place of another, lost by the server, is not mistaken for it.
local function put_out(argv, i, known)
  if known then take_along(argv[i + 2]) end
  for digest in string.gmatch(argv[i + 3], '%x+') do
    call('PERSIST', K.blob .. digest)
    call('HINCRBY', K.refs, digest, 1)
  end
  call('XADD', K.outbox .. argv[i], '*', 'call', argv[4], 'unit', argv[i + 2], 'blobs', argv[i + 3])
  call('SPUBLISH', K.bell .. ' outbox', argv[i])
end

-- What a rebuild depends on: what it has folded is of no use when the log has started anew or was trimmed, or when the
-- rules by which it is folded have changed. The second answer is the last entry that was trimmed, or false.
local function refold_base()
  local meta = call('HMGET', K.meta, 'epoch', 'horizon')
  return format('1 %s %s', meta[1] or '', meta[2] or ''), meta[2]
end

-- What a rebuild knows of a note that lives.
local function parse_indexed(known)
  local note, shape = {}, '^(%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (.*)$'
  note.entry, note.computed, note.deadline, note.size, note.check, note.digest, note.key = string.match(known, shape)
  return note
end

local function string_end(text, i)
  i = i + 1
  while true do
    i = string.find(text, '["\\]', i)
    if string.byte(text, i) == 34 then return i end
    i = i + 2
  end
end

-- Where a member's value ends: at the comma behind it, or at the object's brace.
local function value_end(text, i)
  local depth = 0
  while true do
    i = string.find(text, '["%[%]{},]', i)
    local c = string.byte(text, i)
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

-- The JSON object without what tells of the note beside the work. The bytes of the others stay: numbers would not.
local function work_of(text)
  local kept, i = {}, string.find(text, '{', 1, true) + 1
  while true do
    i = string.find(text, '[^%s,]', i)
    if string.byte(text, i) == 125 then return '{' .. concat(kept, ',') .. '}' end
    local close = string_end(text, i)
    local name, stop = string.sub(text, i + 1, close - 1), value_end(text, close + 1)
    if name ~= 'key' and name ~= 'label' and name ~= 'note' then kept[#kept + 1] = string.sub(text, i, stop - 1) end
    i = stop
  end
end

-- The data of the event at an entry; '' when there is none.
local function data_at(entry)
  local event = call('XRANGE', K.log, entry, entry)[1]
  return event and event[2][10] or ''
end

-- What stands for a note's record and work where they are compared.
local function check_of(record, work)
  return string.sub(redis.sha1hex(#record .. ' ' .. record .. work), 1, 24)
end

-- The record of a note whose event is at that entry. Of one that was trimmed it came with the state of then.
local function folded_record(fresh, id, entry)
  local kept = call('HMGET', fresh .. 'note/' .. id, 'entry', 'record')
  return kept[1] == entry and kept[2] or data_at(entry)
end

-- The fields of a note as a rebuild has folded it, in the order record, digest, size, deadline, key, entry, work. nil:
-- it does not live. What came from the state of a trimmed log lies under `fresh`, all else is in the log.
local function folded_note(fresh, id)
  local known = call('HGET', fresh .. 'index', id)
  if not known or string.byte(known) == 120 then return nil end
  local note = parse_indexed(known)
  local work = call('HGET', fresh .. 'note/' .. id, 'work') or ''
  if note.computed ~= '-' then work = work_of(data_at(note.computed)) end
  local record, deadline = folded_record(fresh, id, note.entry), note.deadline == '-' and '' or note.deadline
  return { record, note.digest, note.size, deadline, note.key, note.entry, work }
end
