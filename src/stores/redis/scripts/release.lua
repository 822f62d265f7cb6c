-- SPDX-License-Identifier: MIT
-- Give up the lease, or the place in the queue, and hand off.
-- ARGV: token
-- -> 4  released: it was mine until now
--    5  left: I only waited
--    6  neither
--@include lib_keys
local token = ARGV[1]
local held = redis.call('GET', KEYS[1])
local waiting = held == token and redis.call('ZCARD', KEYS[3])
if waiting == 0 then
    redis.call('DEL', KEYS[1])
    return 4
end

--@include lib_fence
--@include lib_handoff
if waiting then
--@include lib_last
    local chosen = promote(waiting, last, token)
    -- A token that held and (by a hand's doing) waited too gives up both.
    if not chosen or chosen == token then
        redis.call('DEL', KEYS[1])
    end
    return 4
end

local left = redis.call('HDEL', KEYS[4], token)
if left == 1 then
    redis.call('ZREM', KEYS[3], token)
end
--@include lib_free
return left == 1 and 5 or 6
