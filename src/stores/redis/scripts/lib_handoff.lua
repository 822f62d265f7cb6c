-- SPDX-License-Identifier: MIT
-- The hand-off (docs/protocol.md). Included after lib_fence by the scripts that may
-- find a lock without a holder.

-- A script that meets more dead waiters than this leaves the rest to the next
-- one: it must not hold up the server.
local SKIP_MAX = 256

-- Gives the lock to the first waiter that lives. `waiting` stand in the queue,
-- one at least; `last` is the latest fence. The asker, if it is its turn, is taken
-- out of the queue and left to the caller; everybody else is granted and told.
-- Returns the next holder's token, or nil and whether the rest of the queue was
-- left unseen. Without a next holder the lock key may hold the token of a waiter
-- that did not hear: the caller deletes or overwrites it.
local function promote(waiting, last, asker)
    local fence = draw(last)
    for _ = 1, SKIP_MAX do
        local token = redis.call('ZRANGE', KEYS[3], '0', '0')[1]
        local waiter = redis.call('HGET', KEYS[4], token) or ''
        -- The first write: refused here (READONLY, MISCONF), nothing has been done.
        -- It needs no memory, so the grant after it is not refused for OOM.
        redis.call('ZREM', KEYS[3], token)
        redis.call('HDEL', KEYS[4], token)
        if token == asker then return token end
        waiting = waiting - 1
        local till, ttl, who, inbox = string.match(waiter, '^1 (%d+) (%d+) %d+ ()(%S+) ')
        if till and till * 1000 - clock() > 0 then
            write_grant(token, ttl, fence, string.sub(waiter, who))
            -- 0: its connection is gone, so the next one, in the same breath. An
            -- error (no permission) says nothing about the waiter: its timer finds out.
            local grant = 'g ' .. fence .. (waiting > 0 and ' 1 ' or ' 0 ') .. token .. ' '
            if redis.pcall('PUBLISH', inbox, grant .. KEYS[1]) ~= 0 then return token end
        end
        if waiting == 0 then return nil, false end
    end
    return nil, true
end
