-- SPDX-License-Identifier: MIT
-- Law 7: whoever finds a lock expired with waiters behind it hands it on. Included after
-- lib_last and lib_handoff, where `held` is what GET said of the lock. `several`: lib_many
-- has to look at it.
local waiting = held and 0 or redis.call('ZCARD', KEYS[3])
local several = held and #held > 40
if waiting > 0 then
    local _
    _, _, several = promote(waiting, last)
end
