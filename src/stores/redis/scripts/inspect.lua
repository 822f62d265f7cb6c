-- SPDX-License-Identifier: MIT
-- Report one lock. Changes nothing.
-- ARGV: token or '', most waiters to show, and from LIST 1 if by its name the key may
-- be a fence record
-- -> {7, held, foreign, mine, remaining ms, fence, owner, all waiters,
--     owner, age ms, place ms, ... of each waiter shown}
--    {8} if it is one: with an empty prefix they lie among the lock keys, and LIST skips
--        them. Never without the 1: whoever asks about a name is told about a lock
local held = redis.call('GET', KEYS[1])
if held and ARGV[3] and string.match(held, '^1 %d+ %S+ %S+ ') then return {8} end
local record = redis.call('GET', KEYS[2])
local fence, holder, owner
if record then
    fence, holder, owner = string.match(record, '^1 (%d+) (%S+) %S+ (.*)$')
end
local foreign = held and holder ~= held
local remaining = held and redis.call('PTTL', KEYS[1]) or 0

local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local waiting = redis.call('ZCARD', KEYS[3])
local tokens = redis.call('ZRANGE', KEYS[3], 0, tonumber(ARGV[2]) - 1)
local waiters = {}
if tokens[1] then
    waiters = redis.call('HMGET', KEYS[4], unpack(tokens))
end

local report = {7, held and 1 or 0, foreign and 1 or 0, held == ARGV[1] and 1 or 0, remaining,
    tonumber(fence or 0), held and not foreign and owner or '', 0}
for _, waiter in ipairs(waiters) do
    local till, since, who
    if waiter then
        till, since, who = string.match(waiter, '^2 (%d+) %d+ (%d+) %S+ (.*)$')
    end
    -- One whose place ran out waits no more, though nobody has swept it away yet.
    if till and tonumber(till) > now_ms then
        report[#report + 1] = who
        report[#report + 1] = math.max(0, now_ms - since)
        report[#report + 1] = till - now_ms
    else
        waiting = waiting - 1
    end
end
report[8] = waiting
return report
