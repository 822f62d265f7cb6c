-- SPDX-License-Identifier: MIT
-- Take the lock from its holder if the fence is still the one that was seen.
-- ARGV: fence
-- -> {4}  broken, and handed on if somebody waits
--    {6}  free, or another fence
--@include lib_fence
--@include lib_handoff

local held = redis.call('GET', KEYS[1])
local record = redis.call('GET', KEYS[2])
local last = fence_in(record)
if not last then return not_a_record() end
if not held or last ~= tonumber(ARGV[1]) then
    if not promote_if_free(held) then return not_a_record() end
    return {6}
end

local heads = heads_of_queue()
-- The first write, and it needs no memory.
redis.call('DEL', KEYS[1])
local holder, inbox = string.match(record or '', '^1 %d+ (%S+) (%S+) ')
local chosen
if heads[1] then
    chosen = promote(heads, last)
end
if not chosen then
    -- The fence moves on, so that the holder's is refused by what checks fences.
    redis.call('DEL', KEYS[1])
    write_record('-', 0, draw(last), '-', '')
end
if holder == held then
    -- It hears of its loss at once; if not, its next renewal says so.
    redis.pcall('PUBLISH', inbox, 'r ' .. KEYS[1])
end
return {4}
