#!lua
-- spend: reserve a model call, and what it may cost, within a run's budget for the whole fleet.
-- KEYS[1]  the log
-- ARGV     1 run, 2 calls, 3 millionths of a dollar, 4 most calls (-1 = any), 5 most millionths (-1 = any), 6 ms to keep
-- Answer   'ok' | 'calls' | 'cost': which bound it would pass

local budget = K.budget .. ARGV[1]
local spent = redis.call('HMGET', budget, 'calls', 'cost')
local calls, cost = tonumber(spent[1] or 0) + tonumber(ARGV[2]), tonumber(spent[2] or 0) + tonumber(ARGV[3])
if tonumber(ARGV[4]) >= 0 and calls > tonumber(ARGV[4]) then return 'calls' end
if tonumber(ARGV[5]) >= 0 and cost > tonumber(ARGV[5]) then return 'cost' end
redis.call('HSET', budget, 'calls', string.format('%d', calls), 'cost', string.format('%d', cost))
redis.call('PEXPIRE', budget, ARGV[6])
return 'ok'
