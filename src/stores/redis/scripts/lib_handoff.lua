-- SPDX-License-Identifier: MIT
-- The hand-off (DESIGN 5.3). Included after lib_fence by the scripts that may
-- find a lock without a holder.

-- A script that meets more dead waiters than this leaves the rest to the next
-- one: it must not hold up the server.
local SKIP_MAX = 256

-- The first two in the queue.
local function heads_of_queue()
    return redis.call('ZRANGE', KEYS[3], 0, 1)
end

-- Gives the lock to the first waiter that lives. `heads` are the first two of
-- the queue, `last` the latest fence. The asker, if it is its turn, is taken
-- out of the queue and left to the caller; everybody else is granted and told.
-- Returns the next holder's token, or nil and whether the rest of the queue was
-- left unseen. Without a next holder the lock key may hold the token of a waiter
-- that did not hear: the caller deletes or overwrites it.
local function promote(heads, last, asker)
    local fence = draw(last)
    for _ = 1, SKIP_MAX do
        local token, follower = heads[1], heads[2]
        local waiter = redis.call('HGET', KEYS[4], token) or ''
        -- The first write: refused here (READONLY, MISCONF), nothing has been done.
        -- It needs no memory, so the grant after it is not refused for OOM.
        redis.call('ZREM', KEYS[3], token)
        redis.call('HDEL', KEYS[4], token)
        if token == asker then return token end
        local till, ttl, inbox, owner = string.match(waiter, '^1 (%d+) (%d+) %d+ (%S+) (.*)$')
        if till and tonumber(till) * 1000 > clock() then
            write_grant(token, tonumber(ttl), fence, inbox, owner)
            -- 0: its connection is gone, so the next one, in the same breath. An
            -- error (no permission) says nothing about the waiter: its timer finds out.
            local grant = string.format('g %.0f %d ', fence, follower and 1 or 0)
            local heard = redis.pcall('PUBLISH', inbox, grant .. token .. ' ' .. KEYS[1])
            if heard ~= 0 then return token end
        end
        heads = heads_of_queue()
        if not heads[1] then return nil, false end
    end
    return nil, true
end

-- Law 7: whoever finds a lock expired with waiters behind it hands it on.
-- Returns false if the fence record is not ours.
local function promote_if_free(held)
    if held then return true end
    local heads = heads_of_queue()
    if not heads[1] then return true end
    local last = fence_in(redis.call('GET', KEYS[2]))
    if not last then return false end
    if not promote(heads, last) then
        redis.call('DEL', KEYS[1])
    end
    return true
end
