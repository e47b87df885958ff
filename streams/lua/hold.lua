#!lua flags=allow-oom
-- hold: for a moment nothing is appended and no inline projection changes, so that a rebuilt one can take its place.
-- Whoever would append is answered `routes` with this generation, waits a moment, and asks again. A hold ends by itself.
-- KEYS[1]  the log
-- ARGV     1 token: whose hold it is, 2 for how long from now, ms, at most 10 s; '0' ends it
-- Answer   'held' | 'busy' ms (another's, for so long at most) | 'ended' | 'none' (there is no shard, or no hold of mine)

if call('EXISTS', K.meta) == 0 then return { 'none' } end
local till, token = hold_of()
local now = clock()
if till and token ~= ARGV[1] then
  if till > now then return { 'busy', till - now } end
  till = nil
end
if ARGV[2] == '0' then
  if not till then return { 'none' } end
  end_hold()
  return { 'ended' }
end
call('HSET', K.meta, 'generation', format('held:%d:%s', now + math.min(tonumber(ARGV[2]), 10000), ARGV[1]))
return { 'held' }
