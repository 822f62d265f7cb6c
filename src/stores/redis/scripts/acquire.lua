-- SPDX-License-Identifier: MIT
-- Take the lock, or queue for it, or keep my place, or ask again after a lost reply.
-- ARGV: token, ttl in ms, "INBOX OWNER", and 0 to be told rather than queued
-- -> 0 FENCE WAITING             granted; does somebody wait
--    1 POSITION HOLDER_MS FENCE  queued; the latest fence drawn, 0 if none is known
--    2 HOLDER_MS OWNER           busy, by whom
--@include lib_keys
local token, ttl, who = ARGV[1], ARGV[2], ARGV[3]
local held = redis.call('GET', KEYS[1])
--@include lib_last
local waiting = redis.call('ZCARD', KEYS[3])
--@guarded if waiting == 0 then held = held or 'nobody' end

-- Free and nobody waits.
if not held and waiting == 0 then
    local time = redis.call('TIME')
    local fence = time[1] .. string.sub('00000' .. time[2], -6)
    -- Law 3; if the clock is behind, the long way round.
    if last - fence < 0 then
        redis.call('SET', KEYS[1], token, 'PX', ttl)
        local record = '1 ' .. fence .. ' ' .. token .. ' ' .. who
        redis.call('SET', KEYS[2], record, 'PX', ttl + FENCE_KEEP_MS .. '')
        return '0 ' .. fence .. ' 0'
    end
end

local QUEUE_MAX = 100000
local HOLDER_MS_MAX = 99999999999999 -- what Lua prints in full: 3000 years

-- Whose is it? Nil if the record is not the holder's: the holder is not pawl.
local function who_holds()
    local from = #last + 4
    if not record or string.sub(record, from, from + #held) ~= held .. ' ' then return nil end
    return string.match(record, '^(%S+) (.*)$', from + #held + 1)
end

-- Somebody else has it: -1 for ever, 0 for a lock left free by promote.
local function wait_or_go()
    local holder_ms = held and math.min(redis.call('PTTL', KEYS[1]), HOLDER_MS_MAX) or 0
    if ARGV[4] then
        if redis.call('HDEL', KEYS[4], token) == 1 then
            redis.call('ZREM', KEYS[3], token)
        end
        local _, owner
        if held then _, owner = who_holds() end
        return '2 ' .. holder_ms .. ' ' .. (owner or '')
    end

    -- A place in the queue lives for two thirds of the waiter's ttl: it is refreshed
    -- each third, so one refresh may be lost; and a waiter that froze costs the others
    -- less than a whole ttl. The keys live a third longer, so as to be touched rarely.
    local place = math.ceil(ttl * 2 / 3)
    local time = redis.call('TIME')
    local now_ms = time[1] .. string.sub('00000' .. time[2], -6, -4)
    local waiter = redis.call('HGET', KEYS[4], token)
    local position = waiter and redis.call('ZRANK', KEYS[3], token)

    if position then
        -- Before HSET because these need no memory: once they have written, the
        -- refresh goes through although the server is full.
        local life = math.max(ttl, redis.call('PTTL', KEYS[4]))
        redis.call('PEXPIRE', KEYS[3], life)
        redis.call('PEXPIRE', KEYS[4], life)
        local since = string.match(waiter, '^[23] %d+ %d+ (%d+) ') or now_ms
        local refreshed = '2 ' .. now_ms + place .. ' ' .. ttl .. ' ' .. since .. ' ' .. who
        redis.call('HSET', KEYS[4], token, refreshed)
        return '1 ' .. position .. ' ' .. holder_ms .. ' ' .. last
    end

    if waiting >= QUEUE_MAX then return redis.error_reply('PAWLFULL ' .. waiting) end
    local score = 1
    if waiting > 0 then
        score = redis.call('ZRANGE', KEYS[3], '-1', '-1', 'WITHSCORES')[2] + 1
    end
    redis.call('ZADD', KEYS[3], score, token)
    local arrived = '2 ' .. now_ms + place .. ' ' .. ttl .. ' ' .. now_ms .. ' ' .. who
    redis.call('HSET', KEYS[4], token, arrived)
    if waiting == 0 or redis.call('PTTL', KEYS[4]) < place then
        redis.call('PEXPIRE', KEYS[3], ttl)
        redis.call('PEXPIRE', KEYS[4], ttl)
    end
    local inbox = held and waiting == 0 and who_holds()
    if inbox then
        -- The first waiter asks the holder to yield. A hint: renewals say it again.
        redis.pcall('PUBLISH', inbox, 'y ' .. held .. ' ' .. KEYS[1])
    end
    return '1 ' .. waiting .. ' ' .. holder_ms .. ' ' .. last
end

-- A text longer than a token is what several holders leave here (lib_many).
local several = held and #held > 40
if held and held ~= token and not several then return wait_or_go() end

--@include lib_fence
--@include lib_handoff
local function granted(fence)
    return '0 ' .. fence .. (waiting > 0 and ' 1' or ' 0')
end

if held and not several then
    redis.call('PEXPIRE', KEYS[1], ttl)
    local fence = last
    if who_holds() then
        redis.call('PEXPIRE', KEYS[2], record_ttl(ttl, fence))
    else
        fence = draw(last)
        write_record(token, ttl, fence, who)
    end
    return granted(fence)
end

local chosen, unseen
if waiting > 0 and not several then
    chosen, unseen, several = promote(waiting, last, token)
    waiting = redis.call('ZCARD', KEYS[3])
end
-- In a function of its own, so that the room for its variables is not made for each
-- acquisition of a lock that is free.
local function enter_among_several()
    local mode, units, wanted, asks_only = 'x', '0', 0, ARGV[4]
--@include lib_many
--@include lib_enter
end
if several then return enter_among_several() end
if chosen == token or not (chosen or unseen) then
    local fence = draw(last)
    write_grant(token, ttl, fence, who)
    return granted(fence)
end
held = chosen
record = redis.call('GET', KEYS[2])
last = record and string.match(record, '^1 (%d+)') or '0'
return wait_or_go()
