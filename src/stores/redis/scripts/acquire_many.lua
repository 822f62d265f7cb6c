-- SPDX-License-Identifier: MIT
-- ACQUIRE in a mode that several may have at a time. acquire.lua is for the exclusive one.
-- ARGV: token, ttl in ms, "INBOX OWNER", mode (s shared, u update, p permit), units, capacity
--   (0 but for permits), and 0 to be told rather than queued
-- -> 0 FENCE WAITING [SLOT,...]  granted; does somebody wait; the permits
--    1 POSITION HOLDER_MS FENCE  as acquire.lua
--    2 HOLDER_MS OWNER           as acquire.lua
--@include lib_keys
local token, ttl, who, mode, units = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local wanted, asks_only = tonumber(ARGV[6]), ARGV[7]
local held = redis.call('GET', KEYS[1])
--@include lib_last
local is_free = not held and redis.call('ZCARD', KEYS[3]) == 0
--@guarded is_free = false

-- Free and nobody waits: all is in the lock key (lib_group) until others come.
if is_free and wanted <= 1024 and units - wanted <= 0 then
    local time = redis.call('TIME')
    local fence = time[1] .. string.sub('00000' .. time[2], -6)
    if last - fence < 0 then -- law 3; if the clock is behind, the long way round
--@include lib_mark
        local till = string.sub(fence, 1, -4) + ttl
        local slots, list = '-', '-'
        if mode == 'p' then
            list = '0'
            for slot = 1, units - 1 do list = list .. ',' .. slot end
            slots = string.rep('1', units) .. string.rep('0', wanted - units)
        end
        local holder = '3 ' .. mode .. ' ' .. fence .. ' 0 ' .. units .. ' ' .. list .. ' ' .. who
        local alone = MANY .. '=' .. token .. ' ' .. ARGV[6] .. ' ' .. slots .. ' ' .. till .. ' '
        redis.call('SET', KEYS[1], alone .. holder, 'PX', ttl)
        local newest = '1 ' .. fence .. ' ' .. token .. ' ' .. who
        redis.call('SET', KEYS[2], newest, 'PX', ttl + FENCE_KEEP_MS .. '')
        return '0 ' .. fence .. ' 0' .. (mode == 'p' and ' ' .. list or '')
    end
end
--@include lib_usual_enter
local usual = usual_enter()
if usual then return usual end
--@include lib_fence
--@include lib_queue
--@include lib_many
--@include lib_enter
