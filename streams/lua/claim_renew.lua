#!lua flags=allow-oom
-- claim_renew: the computing process lives; its claim holds for another lease.
-- KEYS[1]  the log
-- ARGV     1 lease ms, then key and nonce of each claim
-- Answer   for each claim 1, or 0 if it is no longer mine

local kept = {}
for i = 2, #ARGV, 2 do
  local mine = redis.call('HGET', K.claim .. ARGV[i], 'nonce') == ARGV[i + 1]
  kept[#kept + 1] = mine and redis.call('PEXPIRE', K.claim .. ARGV[i], ARGV[1]) or 0
end
return kept
