-- SPDX-License-Identifier: MIT
-- Give up the lease, or the place in the queue, and hand off.
-- ARGV: token
-- -> {4}  released: it was mine until now
--    {5}  left: I only waited
--    {6}  neither
--@include lib_fence
--@include lib_handoff

local token = ARGV[1]
local held = redis.call('GET', KEYS[1])
if held == token then
    local heads = heads_of_queue()
    local chosen
    if heads[1] then
        local last = fence_in(redis.call('GET', KEYS[2]))
        if not last then return not_a_record() end
        chosen = promote(heads, last, token)
    end
    -- A token that held and (by a hand's doing) waited too gives up both.
    if not chosen or chosen == token then
        redis.call('DEL', KEYS[1])
    end
    return {4}
end

local left = redis.call('HDEL', KEYS[4], token)
if left == 1 then
    redis.call('ZREM', KEYS[3], token)
end
if not promote_if_free(held) then return not_a_record() end
return {left == 1 and 5 or 6}
