-- SPDX-License-Identifier: MIT
-- Take the lock, or queue for it, or keep my place, or ask again after a lost reply.
-- ARGV: token, ttl in ms, 1 to queue, inbox, owner
-- -> {0, fence, somebody waits}        granted
--    {1, position, holder's ms, fence} queued; the latest fence drawn, 0 if none is known
--    {2, holder's ms, holder's owner}  busy
--@include lib_fence
--@include lib_handoff

-- A place in the queue lives for two thirds of the waiter's ttl: it is refreshed
-- each third, so one refresh may be lost; and a waiter that froze costs the others
-- less than a whole ttl.
local function place_of(ttl)
    return math.ceil(ttl * 2 / 3)
end

local QUEUE_MAX = 100000

local token, ttl, queue, inbox, owner = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5]
local held = redis.call('GET', KEYS[1])
local record = redis.call('GET', KEYS[2])
local last = fence_in(record)
if not last then return not_a_record() end

if held == token then
    redis.call('PEXPIRE', KEYS[1], ttl)
    local fence = fence_of(record, token)
    if fence then
        redis.call('PEXPIRE', KEYS[2], record_ttl(ttl, fence))
    else
        fence = draw(last)
        write_record(token, ttl, fence, inbox, owner)
    end
    return {0, fence, redis.call('EXISTS', KEYS[3])}
end

if not held then
    local heads = heads_of_queue()
    local chosen, unseen
    if heads[1] then
        chosen, unseen = promote(heads, last, token)
    end
    if chosen == token or not (chosen or unseen) then
        local fence = draw(last)
        write_grant(token, ttl, fence, inbox, owner)
        return {0, fence, heads[1] and redis.call('EXISTS', KEYS[3]) or 0}
    end
    if not chosen then
        redis.call('DEL', KEYS[1])
    end
    held = redis.call('GET', KEYS[1])
    record = redis.call('GET', KEYS[2])
end

-- Somebody else has it: -1 for ever, 0 for a lock left free above.
local holder_ms = held and redis.call('PTTL', KEYS[1]) or 0
local fence, holder, holder_inbox, holder_owner
if record then
    fence, holder, holder_inbox, holder_owner = string.match(record, '^1 (%d+) (%S+) (%S+) (.*)$')
end
local foreign = not held or holder ~= held

if queue ~= '1' then
    if redis.call('HDEL', KEYS[4], token) == 1 then
        redis.call('ZREM', KEYS[3], token)
    end
    return {2, holder_ms, foreign and '' or holder_owner}
end

local place = place_of(ttl)
local now_ms = math.floor(clock() / 1000)
local waiter = redis.call('HGET', KEYS[4], token)
local length = redis.call('ZCARD', KEYS[3])
local position = waiter and redis.call('ZRANK', KEYS[3], token)
local life = math.max(place, redis.call('PTTL', KEYS[3]))

if position then
    -- Before HSET because these need no memory: once they have written, the
    -- refresh goes through although the server is full.
    redis.call('PEXPIRE', KEYS[3], life)
    redis.call('PEXPIRE', KEYS[4], life)
    local since = string.match(waiter, '^1 %d+ %d+ (%d+) ') or now_ms
    local refreshed = '1 ' .. now_ms + place .. ' ' .. ttl .. ' ' .. since .. ' ' .. inbox .. ' '
    redis.call('HSET', KEYS[4], token, refreshed .. owner)
    return {1, position, holder_ms, tonumber(fence or 0)}
end

if length >= QUEUE_MAX then return redis.error_reply('PAWLFULL ' .. length) end
local newest = redis.call('ZRANGE', KEYS[3], -1, -1, 'WITHSCORES')
redis.call('ZADD', KEYS[3], (newest[2] or 0) + 1, token)
local arrived = '1 ' .. now_ms + place .. ' ' .. ttl .. ' ' .. now_ms .. ' ' .. inbox .. ' '
redis.call('HSET', KEYS[4], token, arrived .. owner)
redis.call('PEXPIRE', KEYS[3], life)
redis.call('PEXPIRE', KEYS[4], life)
if length == 0 and not foreign then
    -- The first waiter asks the holder to yield. A hint: renewals say it again.
    redis.pcall('PUBLISH', holder_inbox, 'y ' .. held .. ' ' .. KEYS[1])
end
return {1, length, holder_ms, tonumber(fence or 0)}
