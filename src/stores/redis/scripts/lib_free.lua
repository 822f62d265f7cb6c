-- SPDX-License-Identifier: MIT
-- Law 7: whoever finds a lock expired with waiters behind it hands it on. Included
-- after lib_handoff, where `held` is what GET said of the lock; reads the record.
local waiting = held and 0 or redis.call('ZCARD', KEYS[3])
if waiting > 0 then
--@include lib_last
    promote(waiting, last)
end
