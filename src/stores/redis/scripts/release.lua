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

-- It has the name for itself although others might have come (lib_group), and nobody waits.
--@include lib_mark
local alone = MANY .. '=' .. token .. ' '
if held and string.sub(held, 1, #alone) == alone and redis.call('ZCARD', KEYS[3]) == 0 then
    redis.call('DEL', KEYS[1])
    return 4
end

local is_left -- the last of several holders has gone, and somebody waits
if held and #held > 40 then
--@include lib_usual_leave
    local is_done
    is_done, is_left = usual_leave()
    if is_left then
        waiting = redis.call('ZCARD', KEYS[3])
    elseif is_done then
        return 4
    end
end

--@include lib_fence
--@include lib_handoff
--@include lib_last
-- Whether the token was one of several holders. In a function of its own, so that the room for
-- its variables is not made for each release of a lock that nobody waits for.
local function part_and_serve()
--@include lib_many
    part_expired()
    local holder = holder_of(token)
    if holder then part({token}) end
    if capacity and many == 0 and not lost then dissolve() end
    serve(nil)
    finish()
    return holder
end

if waiting then
    local chosen, _, several = promote(waiting, last, token)
    -- A token that held and (by a hand's doing) waited too gives up both.
    if not chosen or chosen == token then
        redis.call('DEL', KEYS[1])
    end
    if several then
        held = nil
        part_and_serve()
    end
    return 4
end

local left = redis.call('HDEL', KEYS[4], token)
-- If the server threw out the queue's key only, a holder may still have its record as a waiter.
local holds = left == 1 and held and #held > 40
    and redis.call('HGET', KEYS[4], ':' .. token)
if left == 1 and not holds then
    redis.call('ZREM', KEYS[3], token)
end
--@include lib_free
if several and part_and_serve() then return 4 end
return left == 1 and 5 or 6
