-- SPDX-License-Identifier: MIT
-- What the lock key holds while several have the name, and behind it what they are together:
--   COUNT     how many they are
--   CAPACITY  of the semaphore; 0 for a lock
--   UPDATER   the token of the one that holds in mode update, or -
--   UPGRADE   until when that one waits, ahead of all, to be upgraded; 0: it does not wait
--   SLOTS     of the semaphore, 0 for each that is free and 1 for each that is taken; or -
-- or, of one beside whom nobody has come yet and for whom nobody waits, `=` and behind it:
--   TOKEN CAPACITY SLOTS
--   TILL_MS   when its lease ends
--   RECORD    what lib_many keeps in KEYS[4] of a holder; nothing of it is in the other keys
-- It is longer than a token, so it is nobody's. It expires with the last of the leases; where
-- it is gone or is something else, they are gone too (law 5).
--@include lib_mark

local many, capacity, updater, upgrade, slots -- of the group; capacity is nil if there is none
local lone, lone_till, lone_record -- the token of the one that is written here, and the rest
if held and string.sub(held, 1, #MANY) == MANY then
    many, capacity, updater, upgrade, slots =
        string.match(held, '^(%d+) (%d+) (%S+) (%d+) (%S+)$', #MANY + 1)
    if not many then
        lone, capacity, slots, lone_till, lone_record =
            string.match(held, '^=(%S+) (%d+) (%S+) (%d+) (3 [sup] .*)$', #MANY + 1)
        many, upgrade = lone and 1, 0
        updater = lone and string.sub(lone_record, 3, 3) == 'u' and lone or '-'
    end
    capacity, upgrade = tonumber(capacity), tonumber(upgrade)
    -- Damaged, it is a foreign holder's.
    local length = capacity == 0 and 1 or capacity
    if not capacity or capacity > 1024 or #slots ~= length then
        capacity, many, lone = nil, nil, nil
    end
end
many = tonumber(many or 0)
