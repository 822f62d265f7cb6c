-- SPDX-License-Identifier: MIT
-- The latest fence as a text, '0' if there is none. Included after lib_keys. At 2^53 Lua's
-- numbers end: one more is the same number, so such a fence, which no clock shows before the
-- year 2255, is refused before it is granted twice (law 3).
local record = redis.call('GET', KEYS[2])
local last = '0'
if record then
    last = string.match(record, '^1 (%d+) %S')
    if not last or tonumber(last) >= 9007199254740992 then
        return redis.error_reply('PAWLRECORD this is not a fence record')
    end
end
