-- SPDX-License-Identifier: MIT
-- The hand-off (docs/protocol.md, "Hand-off"). Included after lib_fence by the scripts
-- that may find a lock without a holder.

--@include lib_queue

-- Gives the lock to the first waiter that is there. `waiting` stand in the queue, one at
-- least; `last` is the latest fence. The asker, if it is its turn, is taken out of the
-- queue and left to the caller; everybody else is granted and told. Who is away is passed
-- over and keeps its place; whose place ran out loses it.
-- Returns the next holder's token, or nil and whether the rest of the queue was left
-- unseen, and whether lib_many has to go on, because the next one does not wait for the
-- exclusive lock. Without a next holder the lock key is as it was before.
local function promote(waiting, last, asker)
    --@guarded do return nil, true, true end
    local fence, away, at = draw(last), 0, '0'
    for _ = 1, SKIP_MAX do
        local token = redis.call('ZRANGE', KEYS[3], at, at)[1]
        local waiter = redis.call('HGET', KEYS[4], token) or ''
        local till, ttl, who, inbox = string.match(waiter, '^2 (%d+) (%d+) %d+ ()(%S+) ')
        if not till and (waiter == '' or string.sub(waiter, 1, 2) == '3 ') then
            return nil, true, true
        end
        local stands = till and till * 1000 - clock() > 0
        if stands and token ~= asker and is_away(inbox) then
            away = away + 1
            at = away
        else
            -- The first write: refused here (READONLY, MISCONF), nothing has been done.
            -- It needs no memory, so the grant after it is not refused for OOM.
            take_out(token)
            if token == asker then return token end
            waiting = waiting - 1
            if stands then
                write_grant(token, ttl, fence, string.sub(waiter, who))
                -- A hand-off does not extend: who froze costs the others no more than its
                -- place. Its next renewal makes it a whole ttl.
                redis.call('PEXPIREAT', KEYS[1], till)
                local grant = 'g ' .. fence .. (waiting > 0 and ' 1 ' or ' 0 ') .. token .. ' '
                redis.pcall('PUBLISH', inbox, grant .. KEYS[1])
                return token
            end
        end
        if waiting == away then return nil, false end
    end
    -- So many are away at once that they would hide all others from each script that
    -- comes: these lose their places after all.
    for _ = 1, away do
        take_out(redis.call('ZRANGE', KEYS[3], '0', '0')[1])
    end
    return nil, true
end
