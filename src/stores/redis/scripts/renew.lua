-- SPDX-License-Identifier: MIT
-- Extend my lease, in whatever mode; never re-create it (law 5).
-- ARGV: token, ttl in ms, "INBOX OWNER"
-- -> 3 FENCE WAITING  confirmed; does somebody wait
--    6 [OWNER]        not the owner; who broke its lease
--@include lib_keys
--@include lib_fence
local token, ttl = ARGV[1], ARGV[2]
local held = redis.call('GET', KEYS[1])
--@include lib_last
if held ~= token then
--@include lib_handoff
--@include lib_free
    local function renew_among_several()
--@include lib_many
        part_expired()
        serve(nil)
        local holder = holder_of(token)
        if holder then extend(token, holder, ttl, ARGV[3]) end
        finish()
        return holder and '3 ' .. holder.fence .. (is_awaited(token) and ' 1' or ' 0')
    end
    local confirmed = several and renew_among_several()
    if confirmed then return confirmed end
--@include lib_not_owner
end

-- First, because it needs no memory: what follows is then not refused for OOM.
redis.call('PEXPIRE', KEYS[1], ttl)
local fence, from = last, #last + 4
if record and string.sub(record, from, from + #token) == token .. ' ' then
    redis.call('PEXPIRE', KEYS[2], record_ttl(ttl, fence))
else
    fence = draw(last)
    write_record(token, ttl, fence, ARGV[3])
end
return '3 ' .. fence .. ' ' .. redis.call('EXISTS', KEYS[3])
