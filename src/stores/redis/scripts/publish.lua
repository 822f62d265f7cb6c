-- SPDX-License-Identifier: MIT
-- A holder leaves a value beside the name (rule 12). Grants, extends and hands on nothing.
-- KEYS[5]: a hash of
--   v  the value
--   m  "1 UNTIL_MS FENCE AT_US OWNER" of it
--   w  who watches, a line each: "UNTIL_MS INBOX"
-- ARGV: token, how long the value stays in ms, the value, the number of the publication
-- -> 3 FENCE 0  it is there, or it was: the number is not new, so this request came late, or again
--    6          the token does not hold
--@include lib_keys
local token = ARGV[1]
local held = redis.call('GET', KEYS[1])
local record = redis.call('GET', KEYS[2])
local time = redis.call('TIME')
local now_us = time[1] .. string.sub('00000' .. time[2], -6)
local now_ms = math.floor(now_us / 1000)
--@include lib_group

-- The lease's record, and what it says: the number of the latest publication is in it (lib_many).
local fence, owner, counts, before, behind
if held == token then
    fence, owner, counts =
        string.match(record or '', '^1 (%d+) ' .. token .. ' %S+ ([^%z]*)%z?(.*)$')
    if not fence then return redis.error_reply('PAWLRECORD this is not a fence record') end
elseif lone then
    if token == lone and lone_till - now_ms > 0 then
        before, fence, counts, behind, owner =
            string.match(lone_record, '^(3 [sup] (%d+) )(%S+)( %d+ %S+ %S+ (.*))$')
    end
elseif capacity then
    -- One of several holders: its lease ends at minus its score.
    local rank = redis.call('ZRANK', KEYS[3], token)
    local text = rank and redis.call('HGET', KEYS[4], ':' .. token)
    local ends = text and redis.call('ZRANGE', KEYS[3], rank, rank, 'WITHSCORES')[2]
    if ends and -ends > now_ms then
        before, fence, counts, behind, owner =
            string.match(text, '^(3 [sup] (%d+) )(%S+)( %d+ %S+ %S+ (.*))$')
    end
end
if not fence then return 6 end
local answer = '3 ' .. fence .. ' 0'
local change, published = string.match(counts, '^(%d+)%+?(%d*)$')
if tonumber(ARGV[4]) <= (tonumber(published or '') or 0) then return answer end

local watching = redis.call('HMGET', KEYS[5], 'w')[1]
local life = tonumber(ARGV[2])
local meta = '1 ' .. string.format('%.0f', now_ms + life) .. ' ' .. fence .. ' ' .. now_us
redis.call('HSET', KEYS[5], 'v', ARGV[3], 'm', meta .. ' ' .. owner)
-- Behind the value, so that the number never says that something is there which is not.
counts = (change or '0') .. '+' .. ARGV[4]
if lone then
    local alone = MANY .. '=' .. lone .. ' ' .. capacity .. ' ' .. slots .. ' ' .. lone_till .. ' '
    redis.call('SET', KEYS[1], alone .. before .. counts .. behind, 'KEEPTTL')
elseif before then
    redis.call('HSET', KEYS[4], ':' .. token, before .. counts .. behind)
else
    redis.call('SET', KEYS[2], string.match(record, '^[^%z]*') .. '\0' .. counts, 'KEEPTTL')
end
for till, inbox in string.gmatch(watching or '', '(%d+) ([^\n]+)\n') do
    if till - now_ms > 0 then
        life = math.max(life, till - now_ms)
        redis.pcall('PUBLISH', inbox, 'n ' .. KEYS[1])
    end
end
redis.call('PEXPIRE', KEYS[5], string.format('%.0f', life))
return answer
