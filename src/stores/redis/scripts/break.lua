-- SPDX-License-Identifier: MIT
-- Take the lock from the holder whose fence is the one that was seen.
-- ARGV: fence, the label of who breaks
-- -> 4  broken, and handed on if somebody waits
--    6  free, or another fence
--@include lib_keys
--@include lib_fence
--@include lib_handoff
--@include lib_broken
local held = redis.call('GET', KEYS[1])
--@include lib_last
local waiting = redis.call('ZCARD', KEYS[3])
local several = held and #held > 40
if not held and waiting > 0 then
    -- Law 7: whoever finds a lock expired with waiters behind it hands it on.
    local _
    _, _, several = promote(waiting, last)
end
if several then
--@include lib_many
    if capacity or not held then
        part_expired()
        local token, inbox = holder_of_fence(ARGV[1])
        if token then
            note_break(token, ARGV[1], ARGV[2], redis.call('PTTL', KEYS[1]))
            part({token})
            if many == 0 then dissolve() end
            tell(inbox, 'r ' .. KEYS[1])
        end
        serve(nil)
        finish()
        if token and not held then write_record('-', 0, draw(last), '- ') end
        return token and 4 or 6
    end
end
if not held or tonumber(last) ~= tonumber(ARGV[1]) then return 6 end

local left_ms = redis.call('PTTL', KEYS[1])
-- The first write, and it needs no memory.
redis.call('DEL', KEYS[1])
note_break(held, ARGV[1], ARGV[2], left_ms)
local broken, seen = held, record or ''
local chosen, _, mixed
if waiting > 0 then
    chosen, _, mixed = promote(waiting, last)
end
if mixed then
    held = nil
--@include lib_many
    part_expired()
    serve(nil)
    finish()
    chosen = held
end
if not chosen then
    -- The fence moves on, so that the holder's is refused by what checks fences.
    write_record('-', 0, draw(last), '- ')
end
local holder, inbox = string.match(seen, '^1 %d+ (%S+) (%S+) ')
if holder == broken then
    -- It hears of its loss at once; if not, its next renewal says so.
    redis.pcall('PUBLISH', inbox, 'r ' .. KEYS[1])
end
return 4
