-- SPDX-License-Identifier: MIT
-- Fences and their record. Included by the scripts that grant.
--
-- Every script has the same keys:
--   KEYS[1]  the lock: a plain string that holds the holder's token
--   KEYS[2]  the fence record of the latest grant: "1 FENCE TOKEN INBOX OWNER"
--   KEYS[3]  the queue: a sorted set of tokens, scored by order of arrival
--   KEYS[4]  the waiters: a hash, token -> "1 PLACE_UNTIL_MS TTL_MS SINCE_MS INBOX OWNER"
-- The leading 1 is the version of the format. OWNER is last: it may hold any byte.
--
-- Whatever calls the server names its command and its KEYS[n] on one line: from
-- the line number in the server's error the client tells which key has the
-- wrong type, or which permission is missing.

-- A record outlives its lease by this, so that fences grow although the server's
-- clock steps back: by less than this always, by any step while the record lives.
local FENCE_KEEP_MS = 600000

local now_us

-- The server's clock, read once: a script is one instant.
local function clock()
    if not now_us then
        local time = redis.call('TIME')
        now_us = time[1] * 1000000 + time[2]
    end
    return now_us
end

-- The fence in a record, 0 without a record, nil if this is no record of ours.
local function fence_in(record)
    if not record then return 0 end
    return tonumber(string.match(record, '^1 (%d+) %S+ %S+ '))
end

-- The fence of the record if it belongs to the token.
local function fence_of(record, token)
    if not record then return nil end
    local fence, of = string.match(record, '^1 (%d+) (%S+) ')
    return of == token and tonumber(fence) or nil
end

-- Law 3: larger than the last, and than the last that was forgotten.
local function draw(last)
    return math.max(last + 1, clock())
end

-- How long a record lives. While the clock is behind the fence (it stepped
-- back) the record is all that keeps fences growing: it waits for the clock.
local function record_ttl(ttl, fence)
    return ttl + FENCE_KEEP_MS + math.max(0, math.ceil((fence - clock()) / 1000))
end

-- '%.0f' because Lua would write 1.7e+15.
local function write_record(token, ttl, fence, inbox, owner)
    local record = string.format('1 %.0f ', fence) .. token .. ' ' .. inbox .. ' ' .. owner
    redis.call('SET', KEYS[2], record, 'PX', record_ttl(ttl, fence))
end

local function write_grant(token, ttl, fence, inbox, owner)
    redis.call('SET', KEYS[1], token, 'PX', ttl)
    write_record(token, ttl, fence, inbox, owner)
end

local function not_a_record()
    return redis.error_reply('PAWLRECORD this is not a fence record')
end
