-- SPDX-License-Identifier: MIT
-- The answer to a token that does not hold: 6, and who broke its lease if somebody did
-- (lib_broken).
local note = redis.pcall('HGET', KEYS[5], token)
local by = type(note) == 'string' and string.match(note, '^1 %d+ %d+ %d+ (.*)$')
return by and '6 ' .. by or 6
