#!lua flags=allow-oom
-- refold_mend: after a rebuild: contents that notes name are kept for good; notes that no index knows go.
-- KEYS[1]  the log
-- ARGV     1 cursor into the contents ('' = none of them), then IDs of notes that may be strangers
-- Answer   cursor ('0' = that was all), how many notes went, digests that notes name and that are not there…

local answer, gone = { '0', 0 }, 0
for first = 2, #ARGV, 500 do
  local live = call('ZMSCORE', K.deadlines, unpack(ARGV, first, math.min(first + 499, #ARGV)))
  for i = 1, #live do
    if not live[i] then
      local note = call('HMGET', K.note .. ARGV[first + i - 1], 'counted', 'size')
      uncount_note(note[1], note[2])
      gone = gone + call('UNLINK', K.note .. ARGV[first + i - 1])
    end
  end
end
answer[2] = gone
if ARGV[1] ~= '' then
  local page = call('HSCAN', K.refs, ARGV[1], 'COUNT', 500)
  answer[1] = page[1]
  local blobs = {}
  for i = 1, #page[2], 2 do blobs[#blobs + 1] = K.blob .. page[2][i] end
  for first = 1, #blobs, 500 do
    local last = math.min(first + 499, #blobs)
    local all = call('EXISTS', unpack(blobs, first, last)) == last - first + 1
    for i = first, last do
      if call('PERSIST', blobs[i]) == 0 and not all and call('EXISTS', blobs[i]) == 0 then
        answer[#answer + 1] = page[2][2 * i - 1]
      end
    end
  end
end
return answer
