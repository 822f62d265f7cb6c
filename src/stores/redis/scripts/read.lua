-- SPDX-License-Identifier: MIT
-- What the value beside a name is (rule 12); and, if an inbox is named, tell it of the next ones.
-- KEYS[5] as in publish.lua. ARGV: inbox or '', for how long it watches, in ms
-- -> {9, the clock in us, fence, published at in us, owner, value}; fence 0: there is none
local time = redis.call('TIME')
local now_us = time[1] .. string.sub('00000' .. time[2], -6)
local now_ms = math.floor(now_us / 1000)
local found = redis.call('HMGET', KEYS[5], 'm', 'v', 'w')

if ARGV[1] ~= '' then
    local WATCHERS_MAX = 1000
    local lines = {}
    for till, inbox in string.gmatch(found[3] or '', '(%d+) ([^\n]+)\n') do
        if till - now_ms > 0 and inbox ~= ARGV[1] then
            lines[#lines + 1] = till .. ' ' .. inbox .. '\n'
        end
    end
    if #lines >= WATCHERS_MAX then return redis.error_reply('PAWLFULL ' .. #lines) end
    lines[#lines + 1] = string.format('%.0f', now_ms + ARGV[2]) .. ' ' .. ARGV[1] .. '\n'
    redis.call('HSET', KEYS[5], 'w', table.concat(lines))
    local life = math.max(redis.call('PTTL', KEYS[5]), tonumber(ARGV[2]))
    redis.call('PEXPIRE', KEYS[5], string.format('%.0f', life))
end

local till, fence, at, owner = string.match(found[1] or '', '^1 (%d+) (%d+) (%d+) (.*)$')
if not till or till - now_ms <= 0 then return {9, tonumber(now_us), 0, 0, '', ''} end
return {9, tonumber(now_us), tonumber(fence), tonumber(at), owner, found[2] or ''}
