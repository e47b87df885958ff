#!lua
-- limit_agent: what an agent may do, from now on: '*' stands for each that has no limits of its own. What it has already
-- stays, also where that is more.
-- KEYS[1]  the log
-- ARGV     1 routes generation, 2 agent, 3 its share in this shard, '<notes> <bytes> <name of these limits>', '-' for any
--          number; '' takes its limits away, 4 '1' = this is the flock's first shard, which keeps and tells of 5 its
--          limits: '<calls at once> <calls a window> <tokens a window> <window ms> <notes> <bytes>' ('' as in 3), 6 meta,
--          7 data and 8 routes of agent.limited, 9 '0' = the log tells of it already,
--          10 '1' = the call is repeated: an earlier one may have been carried out
-- Answer   'ok' | 'routes' generation

if not routes_fit(ARGV[1]) then return stale_routes() end
local agent, share = ARGV[2], ARGV[3]
local line = agent == '*' and 'each' or 'own ' .. agent
if share == '' then
  call('HDEL', K.allowed, line)
else
  call('HSET', K.allowed, line, share)
end

local is_limited = false
local lines = call('HGETALL', K.allowed)
for i = 1, #lines, 2 do
  if agent == '*' and string.sub(lines[i], 1, 5) == 'each ' then
    call('HDEL', K.allowed, lines[i]) -- what was moved between shards, of limits that are no more
  else
    is_limited = is_limited or string.sub(lines[i + 1], 1, 4) ~= '- - '
  end
end
if not is_limited then
  call('DEL', K.counted)
elseif call('EXISTS', K.counted) == 0 then -- what is there already is counted by `count_notes`
  local count = format('%s.%d', call('HGET', K.meta, 'changes'), clock())
  call('HSET', K.counted, ' count', count, ' counting', count)
end

if ARGV[4] ~= '1' then return { 'ok' } end
local field, subject = 'limits:@' .. agent, 'actor/' .. agent
if (call('HGET', K.meta, field) or '') == ARGV[5] or (ARGV[10] == '1' and has_appended(subject, ARGV[6])) then
  touch()
  return { 'ok' }
end
if ARGV[9] == '1' then append_next(subject, 'agent.limited', ARGV[6], ARGV[7], ARGV[8]) end
if ARGV[5] == '' then
  call('HDEL', K.meta, field)
else
  call('HSET', K.meta, field, ARGV[5])
end
raise_generation()
return { 'ok' }
