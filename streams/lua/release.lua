#!lua flags=allow-oom
-- release: a parked delivery goes back to its actor, or away, by a person's word; once, and with an event of it.
-- A full server does it, too: what is parked takes as much room as what comes of it.
-- KEYS[1]  the log
-- ARGV     1 routes generation, 2 the delivery's member of the index, 3 'resumed' or 'dropped', 4 who says so,
--          5 subject, 6 meta, 7 data and 8 routes of the event, 9 how long to remember it, ms
-- Answer   'resumed' | 'dropped' | 'routes' generation | 'ended' (there is no such inbox any more: nothing was done) |
--          'gone' how who (another was quicker; '' where that is no longer known)

if not routes_fit(ARGV[1]) then return stale_routes() end
local id, inbox, entry = string.match(ARGV[2], '^(%S+) (%S+) (%S+)$')
local said = call('HMGET', K.settled .. id, 'how', 'by', 'meta')
if said[1] then
  if said[3] == ARGV[6] then -- the same call once more: the answer was lost
    touch()
    return { said[1] }
  end
  return { 'gone', said[1], said[2] }
end
local parked = call('XRANGE', K.dead .. inbox, entry, entry)[1]
if not parked then
  call('ZREM', K.parked, ARGV[2])
  return { 'gone', '', '' }
end
local resumes = ARGV[3] == 'resumed'
local is_open = call('EXISTS', K.inbox .. inbox) == 1
if resumes and not is_open then return { 'ended' } end

-- It begins anew: what tells of the attempts so far stays behind.
local LEFT = { attempts = true, tried = true, retry = true, halted = true, entry = true, failure = true }
local fields, halted = {}, false
for i = 1, #parked[2], 2 do
  local name, value = parked[2][i], parked[2][i + 1]
  if not LEFT[name] then
    fields[#fields + 1] = name
    fields[#fields + 1] = value
  end
  halted = halted or name == 'halted' and value == '1'
end
fields[#fields + 1] = 'retry'
fields[#fields + 1] = resumes and '1' or 'drop'

append_next(ARGV[5], 'delivery.' .. ARGV[3], ARGV[6], ARGV[7], ARGV[8])
-- A key that stands still goes on when its inbox is told so, also by the word that there is nothing to be done.
if resumes or halted and is_open then call('XADD', K.inbox .. inbox, '*', unpack(fields)) end
call('XDEL', K.dead .. inbox, entry)
if call('XLEN', K.dead .. inbox) == 0 then call('DEL', K.dead .. inbox) end
call('ZREM', K.parked, ARGV[2])
call('HSET', K.settled .. id, 'how', ARGV[3], 'by', ARGV[4], 'meta', ARGV[6])
call('PEXPIRE', K.settled .. id, ARGV[9])
return { ARGV[3] }
