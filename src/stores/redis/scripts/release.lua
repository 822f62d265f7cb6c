-- SPDX-License-Identifier: MIT
-- Give up the lease, in whatever mode, or the place in the queue, and hand off.
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
--@include lib_last
if waiting then
    local chosen, _, several = promote(waiting, last, token)
    -- A token that held and (by a hand's doing) waited too gives up both.
    if not chosen or chosen == token then
        redis.call('DEL', KEYS[1])
    end
    if several then
        held = nil
--@include lib_many
        part_expired()
        serve(nil)
        finish()
    end
    return 4
end

local left = redis.call('HDEL', KEYS[4], token)
if left == 1 then
    redis.call('ZREM', KEYS[3], token)
end
--@include lib_free
if several then
--@include lib_many
    part_expired()
    local holder = holder_of(token)
    if holder then part({token}) end
    if capacity and many == 0 and not lost then dissolve() end
    serve(nil)
    finish()
    if holder then return 4 end
end
return left == 1 and 5 or 6
