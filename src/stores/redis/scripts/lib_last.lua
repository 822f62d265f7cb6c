-- SPDX-License-Identifier: MIT
-- The latest fence as a text, '0' if there is none. Included after lib_keys.
local record = redis.call('GET', KEYS[2])
local last = '0'
if record then
    last = string.match(record, '^1 (%d+) %S')
    if not last then return redis.error_reply('PAWLRECORD this is not a fence record') end
end
