#!lua flags=allow-oom
-- refold_mend: after a rebuild: contents that notes name are kept for good; notes that no index knows go.
-- KEYS[1]  the log
-- ARGV     1 cursor into the contents ('' = none of them), then IDs of notes that may be strangers
-- Answer   cursor ('0' = that was all), how many notes went, digests that notes name and that are not there…

local answer, gone = { '0', 0 }, 0
for i = 2, #ARGV do
  if not call('ZSCORE', K.deadlines, ARGV[i]) then gone = gone + call('UNLINK', K.note .. ARGV[i]) end
end
answer[2] = gone
if ARGV[1] ~= '' then
  local page = call('HSCAN', K.refs, ARGV[1], 'COUNT', 500)
  answer[1] = page[1]
  for i = 1, #page[2], 2 do
    local blob = K.blob .. page[2][i]
    if call('PERSIST', blob) == 0 and call('EXISTS', blob) == 0 then answer[#answer + 1] = page[2][i] end
  end
end
return answer
