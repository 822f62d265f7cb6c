-- SPDX-License-Identifier: MIT
-- Extend my lease; never re-create it (law 5).
-- ARGV: token, ttl in ms, inbox, owner
-- -> {3, fence, somebody waits}  confirmed
--    {6}                         not the owner
--@include lib_fence
--@include lib_handoff

local token, ttl = ARGV[1], tonumber(ARGV[2])
local held = redis.call('GET', KEYS[1])
if held ~= token then
    if not promote_if_free(held) then return not_a_record() end
    return {6}
end

local record = redis.call('GET', KEYS[2])
local last = fence_in(record)
if not last then return not_a_record() end
-- First, because it needs no memory: what follows is then not refused for OOM.
redis.call('PEXPIRE', KEYS[1], ttl)
local fence = fence_of(record, token)
if fence then
    redis.call('PEXPIRE', KEYS[2], record_ttl(ttl, fence))
else
    fence = draw(last)
    write_record(token, ttl, fence, ARGV[3], ARGV[4])
end
return {3, fence, redis.call('EXISTS', KEYS[3])}
