-- SPDX-License-Identifier: MIT
-- RELEASE of several different names: what release.lua would do with one after the other.
-- KEYS: all locks, all queues, all records, all waiters. ARGV: a token for each name
-- -> the answers of release.lua, each with a line's end; `-` where it failed: ask for that one alone
local count = #ARGV
local is_mine = true
for i = 1, count do
    is_mine = is_mine and redis.call('GET', KEYS[i]) == ARGV[i]
end

-- All mine, and nobody waits for any of them.
if is_mine and redis.call('EXISTS', unpack(KEYS, count + 1, 2 * count)) == 0 then
    redis.call('DEL', unpack(KEYS, 1, count))
    return string.rep('4\n', count)
end

local function one(KEYS, ARGV)
--@include release
end
--@include lib_together
return one_by_one(count, function(i) return {ARGV[i]} end)
