-- SPDX-License-Identifier: MIT
-- What is usual where others have the name: one more comes in beside them because nobody waits, or
-- stands behind those who wait. Included by acquire_many after lib_last. Written without the
-- helpers of lib_many, which cost as much as all that is done here; it does what they would. Nil
-- where anything is unusual: then nothing has been changed, and lib_many sees to it.

-- The keys live as long as anybody in them, and a third longer, so as to be touched rarely. The
-- queue's may be new although the other is not: a server that is full may have thrown it out.
local function keep_usual_keys(ttl, is_new)
    if not is_new and redis.call('PTTL', KEYS[4]) - ttl >= 0 then return end
    local life = math.ceil(ttl * 4 / 3) .. ''
    redis.call('PEXPIRE', KEYS[3], life)
    redis.call('PEXPIRE', KEYS[4], life)
end

local function usual_enter()
    --@guarded do return nil end
    local HOLDERS_MAX, QUEUE_MAX = 10000, 100000 -- as in lib_many and lib_enter
    if not held then return nil end
--@include lib_group
    if not capacity then -- of pawl's holder alone it is known that the name is a lock
        local from = #last + 4
        if wanted ~= 0 or held == token or not record
            or string.sub(record, from, from + #held) ~= held .. ' ' then return nil end
    elseif capacity ~= wanted or upgrade > 0 then
        return nil
    end
    local waiting = redis.call('ZCARD', KEYS[3]) - (lone and 0 or many)
    if lone and (waiting > 0 or token == lone) then return nil end
    if waiting < 0 or waiting > 0 and asks_only or waiting == 0 and not capacity then return nil end
    local time = redis.call('TIME')
    local fence = time[1] .. string.sub('00000' .. time[2], -6)
    local now_ms = string.sub(fence, 1, -4)
    local first -- of the holders to run out: minus the end of its lease
    if lone then
        first = '-' .. lone_till
    elseif capacity then
        first = redis.call('ZRANGE', KEYS[3], many - 1 .. '', many - 1 .. '', 'WITHSCORES')[2]
        if not first then return nil end
    end
    if first and first + now_ms >= 0 then return nil end

    if waiting == 0 then
        -- The table of pawl_mode. If the clock is behind (law 3) it is not usual.
        local fits = capacity == 0 and (mode == 's' or mode == 'u' and updater == '-')
        local list = '-'
        if mode == 'p' then
            local taken = {}
            slots = string.gsub(slots, '()0', function(at)
                taken[#taken + 1] = at - 1
                return '1'
            end, units)
            fits, list = #taken - units == 0, table.concat(taken, ',')
        elseif mode == 'u' then
            updater = token
        end
        if not fits or many >= HOLDERS_MAX or last - fence >= 0 then return nil end
        -- It may hold already, also without its record.
        if redis.call('HGET', KEYS[4], ':' .. token) then return nil end
        if lone then -- it gets a place like all others; lib_many would do it as well
            redis.call('HSET', KEYS[4], ':' .. lone, lone_record)
            redis.call('ZADD', KEYS[3], '-' .. lone_till, lone)
        end
        if redis.call('ZADD', KEYS[3], 'NX', '-' .. now_ms + ttl, token) == 0 then return nil end
        local holder = '3 ' .. mode .. ' ' .. fence .. ' 0 ' .. units .. ' ' .. list .. ' ' .. who
        redis.call('HSET', KEYS[4], ':' .. token, holder)
        local life = math.max(ttl, redis.call('PTTL', KEYS[1]))
        local group = MANY .. many + 1 .. ' ' .. capacity .. ' ' .. updater .. ' 0 ' .. slots
        redis.call('SET', KEYS[1], group, 'PX', life .. '')
        local newest = '1 ' .. fence .. ' ' .. token .. ' ' .. who
        redis.call('SET', KEYS[2], newest, 'PX', life + FENCE_KEEP_MS .. '')
        keep_usual_keys(life, lone)
        return '0 ' .. fence .. ' 0' .. (mode == 'p' and ' ' .. list or '')
    end

    -- Nobody gets in beside a writer, where no permit is free, and behind a writer who waits.
    local is_blocked = not capacity or capacity > 0 and not string.find(slots, '0', 1, true)
    if capacity == 0 then
        local head = redis.call('ZRANGE', KEYS[3], many .. '', many .. '')[1]
        local till = string.match(redis.call('HGET', KEYS[4], head) or '', '^2 (%d+) ')
        is_blocked = till and till - now_ms > 0
    end
    if not is_blocked or waiting >= QUEUE_MAX or redis.call('HGET', KEYS[4], token) then
        return nil
    end
    local holder_ms = first and -first - now_ms
        or math.min(redis.call('PTTL', KEYS[1]), 99999999999999)
    local score = redis.call('ZRANGE', KEYS[3], '-1', '-1', 'WITHSCORES')[2] + 1 .. ''
    if redis.call('ZADD', KEYS[3], 'NX', score, token) == 0 then return nil end
    local place = now_ms + math.ceil(ttl * 2 / 3)
    local waiter = '3 ' .. place .. ' ' .. ttl .. ' ' .. now_ms .. ' ' .. mode .. ' ' .. units
    redis.call('HSET', KEYS[4], token, waiter .. ' ' .. ARGV[6] .. ' ' .. who)
    keep_usual_keys(ttl)
    return '1 ' .. waiting .. ' ' .. holder_ms .. ' ' .. last
end
