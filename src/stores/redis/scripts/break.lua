-- SPDX-License-Identifier: MIT
-- Take the lock from its holder if the fence is still the one that was seen.
-- ARGV: fence
-- -> 4  broken, and handed on if somebody waits
--    6  free, or another fence
--@include lib_keys
--@include lib_fence
--@include lib_handoff
local held = redis.call('GET', KEYS[1])
--@include lib_last
local waiting = redis.call('ZCARD', KEYS[3])
if not held and waiting > 0 then
    -- Law 7: whoever finds a lock expired with waiters behind it hands it on.
    promote(waiting, last)
end
if not held or tonumber(last) ~= tonumber(ARGV[1]) then return 6 end

-- The first write, and it needs no memory.
redis.call('DEL', KEYS[1])
local chosen
if waiting > 0 then
    chosen = promote(waiting, last)
end
if not chosen then
    -- The fence moves on, so that the holder's is refused by what checks fences.
    write_record('-', 0, draw(last), '- ')
end
local holder, inbox = string.match(record or '', '^1 %d+ (%S+) (%S+) ')
if holder == held then
    -- It hears of its loss at once; if not, its next renewal says so.
    redis.pcall('PUBLISH', inbox, 'r ' .. KEYS[1])
end
return 4
