#!lua
-- upload: hold content under its digest until a note names it. Without content: is it there? Then it is held longer.
-- KEYS[1]  the log
-- ARGV     1 digest, 2 how long to hold it in ms, 3 content ('' = only ask)
-- Answer   1 if the content is there now, otherwise 0

local blob = K.blob .. ARGV[1]
if redis.call('EXISTS', blob) == 1 then
  if redis.call('PTTL', blob) > 0 then redis.call('PEXPIRE', blob, ARGV[2]) end
  return 1
end
-- What is empty is all there when its digest is.
local EMPTY = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
if ARGV[3] == '' and ARGV[1] ~= EMPTY then return 0 end
redis.call('SET', blob, ARGV[3], 'PX', ARGV[2])
return 1
