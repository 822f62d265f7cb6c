-- SPDX-License-Identifier: MIT
-- Fences and their record. Included after lib_keys by the scripts that grant.
-- A fence is a text here: Lua would print the number as 1.7e+15.

local now_us

-- The server's clock, read once: a script is one instant.
local function clock()
    if not now_us then
        local time = redis.call('TIME')
        now_us = time[1] .. string.sub('00000' .. time[2], -6)
    end
    return now_us
end

-- Law 3: larger than the last, and than the last that was forgotten.
local function draw(last)
    if last - clock() < 0 then return clock() end
    return string.format('%.0f', last + 1)
end

-- How long a record lives. While the clock is behind the fence (it stepped
-- back) the record is all that keeps fences growing: it waits for the clock.
local function record_ttl(ttl, fence)
    return ttl + FENCE_KEEP_MS + math.max(0, math.ceil((fence - clock()) / 1000))
end

-- `who` is "INBOX OWNER".
local function write_record(token, ttl, fence, who)
    local record = '1 ' .. fence .. ' ' .. token .. ' ' .. who
    redis.call('SET', KEYS[2], record, 'PX', record_ttl(ttl, fence))
end

local function write_grant(token, ttl, fence, who)
    redis.call('SET', KEYS[1], token, 'PX', ttl)
    write_record(token, ttl, fence, who)
end
