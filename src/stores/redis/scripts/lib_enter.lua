-- SPDX-License-Identifier: MIT
-- ACQUIRE in any mode, when several hold the name or wait for it in other modes than
-- exclusive. Included after lib_many, where `token`, `ttl`, `who` are the asker's; `mode`
-- (x, s, u or p), `units` and `wanted`, the capacity, are what it asks for; and `asks_only`
-- says that it will not queue.

part_expired()
serve({token = token, ttl = ttl, who = who, mode = mode, units = units, wanted = wanted})

local function granted(fence, list)
    finish()
    local places = list and list ~= '-' and ' ' .. list or ''
    return '0 ' .. fence .. (is_awaited(token) and ' 1' or ' 0') .. places
end

if asker_fence then return granted(asker_fence, asker_slots) end

-- A name is of one kind while anything of it lives (rule 9). Of a foreign holder nobody knows.
local kind = capacity
if not kind and held and string.find(record or '', ' ' .. held .. ' ', 1, true) then kind = 0 end
if not kind and waiting > 0 then
    local first = redis.call('ZRANGE', KEYS[3], many, many)[1]
    local waiter = read_waiter(redis.call('HGET', KEYS[4], first) or '')
    kind = waiter and waiter.wanted
end
if kind and kind ~= wanted then
    finish()
    local word = (kind == 0) ~= (wanted == 0) and 'PAWLKIND ' or 'PAWLCAPACITY '
    return redis.error_reply(word .. kind .. ' ' .. wanted)
end

local holder = holder_of(token)
if holder then
    -- Rule 3: who holds less than it asks for has to change it, or release.
    local covers = mode == holder.mode or mode == 's' and holder.mode == 'u'
    if not covers or units - holder.units > 0 then
        finish()
        return redis.error_reply('PAWLMODE ' .. holder.mode .. mode)
    end
    extend(token, holder, ttl, who)
    return granted(holder.fence, holder.list)
end
if held == token then -- it was upgraded, and this request is from before
    redis.call('PEXPIRE', KEYS[1], ttl)
    redis.call('PEXPIRE', KEYS[2], record_ttl(ttl, last))
    return granted(last)
end

local waiter = redis.call('HGET', KEYS[4], token)
local position = waiter and redis.call('ZRANK', KEYS[3], token)
-- One whose record alone was thrown out by the server still stands among the holders, and its
-- client may believe that it holds: it stays there until its lease ends.
local function stands()
    local rank = many > 0 and redis.call('ZRANK', KEYS[3], token)
    return rank and rank < many
end

if asks_only and position then
    take_out(token)
    waiting = waiting - 1
    serve(nil) -- those behind it may fit
elseif not position and not blocked and not is_full() and fits(mode, units)
    and (mode ~= 'p' or not stands()) then
    local list
    if mode == 'x' then
        write_exclusive(token, ttl, next_fence(), who, '0')
    else
        local newcomer = let_in(token, mode, units, wanted, who)
        -- A reader without its record is a reader anew.
        if write_holder(token, newcomer, now_ms + ttl) == 0 then many = many - 1 end
        list = newcomer.list
    end
    return granted(last, list)
end

local QUEUE_MAX = 100000
local ends_in = holder_ms()
if asks_only then
    finish()
    local newest, label = string.match(record or '', '^1 %d+ (%S+) %S+ (.*)$')
    local holds = newest and (held == newest or holder_of(newest))
    return '2 ' .. ends_in .. ' ' .. (holds and label or '')
end
if not position and stands() then
    finish()
    return '1 ' .. waiting .. ' ' .. ends_in .. ' ' .. last
end
if not position and waiting >= QUEUE_MAX then
    finish()
    return redis.error_reply('PAWLFULL ' .. waiting)
end

-- The same as in acquire.lua, beside holders.
local place = math.ceil(ttl * 2 / 3)
local since = string.format('%.0f', now_ms)
if position then
    -- First, because these need no memory.
    local life = math.max(ttl, redis.call('PTTL', KEYS[4]))
    redis.call('PEXPIRE', KEYS[3], life)
    redis.call('PEXPIRE', KEYS[4], life)
    since = string.match(waiter, '^[23] %d+ %d+ (%d+) ') or since
    position = position - many
else
    position = waiting
    local score = 1
    if waiting > 0 then
        score = redis.call('ZRANGE', KEYS[3], '-1', '-1', 'WITHSCORES')[2] + 1
    end
    redis.call('ZADD', KEYS[3], score, token)
    local is_first = not is_awaited('-')
    waiting = waiting + 1
    if is_first then ask_to_yield(mode) end
end
local line = string.format('%.0f', now_ms + place) .. ' ' .. ttl .. ' ' .. since .. ' '
if mode == 'x' then
    line = '2 ' .. line .. who
else
    line = '3 ' .. line .. mode .. ' ' .. units .. ' ' .. string.format('%.0f', wanted) .. ' ' .. who
end
redis.call('HSET', KEYS[4], token, line)
keep_keys(tonumber(ttl))
finish()
return '1 ' .. position .. ' ' .. ends_in .. ' ' .. last
