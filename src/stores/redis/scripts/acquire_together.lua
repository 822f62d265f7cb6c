-- SPDX-License-Identifier: MIT
-- ACQUIRE of several different names in the exclusive mode, each told rather than queued: what
-- acquire.lua would do with one after the other.
-- KEYS: all locks, all queues, all records, all waiters. ARGV: ttl in ms, "INBOX OWNER", a token
--   for each name
-- -> the answers of acquire.lua, each with a line's end; `-` where it failed: ask for that one alone
--@include lib_keys
local ttl, who, count = ARGV[1], ARGV[2], #ARGV - 2
local is_free = redis.call('EXISTS', unpack(KEYS, 1, 2 * count)) == 0
--@guarded is_free = false

-- All free, and nobody waits for any of them.
if is_free then
    local time = redis.call('TIME')
    local fence = time[1] .. string.sub('00000' .. time[2], -6)
    local grows = true -- law 3; as in acquire.lua and lib_last
    for i = 2 * count + 1, 3 * count do
        local record = redis.call('GET', KEYS[i])
        local last = record and string.match(record, '^1 (%d+) %S')
        if record and (not last or last - fence >= 0) then grows = false end
    end
    if grows then
        local life, before, behind = ttl + FENCE_KEEP_MS .. '', '1 ' .. fence .. ' ', ' ' .. who
        for i = 1, count do
            local token = ARGV[i + 2]
            redis.call('SET', KEYS[i], token, 'PX', ttl)
            redis.call('SET', KEYS[2 * count + i], before .. token .. behind, 'PX', life)
        end
        return string.rep('0 ' .. fence .. ' 0\n', count)
    end
end

local function one(KEYS, ARGV)
--@include acquire
end
--@include lib_together
return one_by_one(count, function(i) return {ARGV[i + 2], ttl, who, '0'} end)
