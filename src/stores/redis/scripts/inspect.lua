-- SPDX-License-Identifier: MIT
-- Report one lock. Changes nothing.
-- ARGV: token or '', most holders and most waiters to show, and from LIST 1 if by its name
-- the key may be a fence record
-- -> {7, held, foreign, remaining ms, fence, owner, capacity, all holders, all waiters,
--     holders shown, who broke it last, how long ago in ms or -1, and the fence that it broke,
--     owner, remaining ms, fence, mode, units, mine ... of each holder shown, by their fences,
--     owner, age ms, place ms, mode, units ... of each waiter shown}
--    {8} if it is one: with an empty prefix they lie among the lock keys, and LIST skips
--        them. Never without the 1: whoever asks about a name is told about a lock
local held = redis.call('GET', KEYS[1])
if held and ARGV[3] and string.match(held, '^1 %d+ %S+ %S+ ') then return {8} end
local record = redis.call('GET', KEYS[2])
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local most = tonumber(ARGV[2])

local fence, newest, owner
if record then
    fence, newest, owner = string.match(record, '^1 (%d+) (%S+) %S+ (.*)$')
end
--@include lib_group
local holding = many
local remaining = held and redis.call('PTTL', KEYS[1]) or 0
local skip = holding -- in the queue's key, before the waiters

local holders = {}
local function add(label, rest, its, mode, units, mine)
    units = math.min(tonumber(units), 1024) -- of a record that is damaged
    holders[#holders + 1] = {label, rest, tonumber(its), mode, units, mine and 1 or 0}
end
if lone then
    skip = 0
    local its, units, label = string.match(lone_record, '^3 %S+ (%d+) %S+ (%d+) %S+ %S+ (.*)$')
    if its and lone_till - now_ms > 0 then
        local mode = string.sub(lone_record, 3, 3)
        add(label, lone_till - now_ms, its, mode, units, lone == ARGV[1])
    else
        holding = 0
    end
elseif holding > 0 then
    local ends = redis.call('ZRANGE', KEYS[3], '0', math.min(holding, most) - 1, 'WITHSCORES')
    local fields = {}
    for i = 1, #ends, 2 do fields[#fields + 1] = ':' .. ends[i] end
    local records = ends[1] and redis.call('HMGET', KEYS[4], unpack(fields)) or {}
    for i, holder in ipairs(records) do
        local mode, its, units, text
        if holder then
            mode, its, units, text = string.match(holder, '^3 ([sup]) (%d+) %S+ (%d+) %S+ %S+ (.*)$')
        end
        local rest = -ends[2 * i] - now_ms
        -- One whose lease ran out holds no more, though nobody has swept it away yet.
        if mode and rest > 0 then
            add(text, rest, its, mode, units, ends[2 * i - 1] == ARGV[1])
        else
            holding = holding - 1
        end
    end
    table.sort(holders, function(a, b) return a[3] < b[3] end)
end
local foreign = held and not capacity and newest ~= held
if held and not capacity then
    holding = 1
    -- Also a foreign one is broken by the fence that the record shows.
    add(foreign and '' or owner, remaining, fence or 0, 'x', 0, held == ARGV[1])
end

-- Not below 0, should the queue's key be damaged.
local waiting = math.max(0, redis.call('ZCARD', KEYS[3]) - skip)
local tokens = redis.call('ZRANGE', KEYS[3], skip, skip + most - 1)
local waiters = {}
if tokens[1] then
    waiters = redis.call('HMGET', KEYS[4], unpack(tokens))
end

-- Who may only look may call HMGET, not HGET.
local function latest_break()
    local line = redis.pcall('HMGET', KEYS[5], '-')
    local token = line[1] and string.match(line[1], '^%S+')
    local note = token and redis.pcall('HMGET', KEYS[5], token)[1]
    local till, at, its, by = string.match(note or '', '^1 (%d+) (%d+) (%d+) (.*)$')
    if not till or tonumber(till) <= now_ms then return '', -1, 0 end
    return by, math.max(0, now_ms - at), tonumber(its)
end
local broken_by, broken_ms, broken_fence = latest_break()

local shown = holders[#holders] or {'', 0, tonumber(fence or 0)}
local report = {7, held and 1 or 0, foreign and 1 or 0, remaining, shown[3], shown[1],
    capacity or 0, holding, 0, #holders, broken_by, broken_ms, broken_fence}
for _, holder in ipairs(holders) do
    for _, item in ipairs(holder) do report[#report + 1] = item end
end
for _, waiter in ipairs(waiters) do
    local mode, units = 'x', '0'
    local till, since, who
    if waiter then
        till, since, who = string.match(waiter, '^2 (%d+) %d+ (%d+) %S+ (.*)$')
        if not till then
            till, since, mode, units, who =
                string.match(waiter, '^3 (%d+) %d+ (%d+) ([sup]) (%d+) %d+ %S+ (.*)$')
        end
    end
    -- One whose place ran out waits no more, though nobody has swept it away yet.
    if till and tonumber(till) > now_ms then
        report[#report + 1] = who
        report[#report + 1] = math.max(0, now_ms - since)
        report[#report + 1] = till - now_ms
        report[#report + 1] = mode
        report[#report + 1] = math.min(tonumber(units), 1024)
    else
        waiting = waiting - 1
    end
end
report[9] = waiting
return report
