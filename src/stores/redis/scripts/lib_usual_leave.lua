-- SPDX-License-Identifier: MIT
-- What is usual when one of several holders goes: nobody comes in, because nobody waits or the next
-- one does not fit; or the next one takes the permits that go free, and no other can. Included by
-- release. Written without the helpers of lib_many, which cost as much as all that is done here;
-- it does what they would. Returns whether it was so, and whether nobody holds any more and
-- somebody waits, so that the name is handed on like an exclusive lock. Nil where anything is
-- unusual: then nothing has been changed, and lib_many sees to it.
local function usual_leave()
    --@guarded do return nil end
--@include lib_group
    if not capacity or lone or upgrade > 0 or token == updater then return nil end
    local rank = redis.call('ZRANK', KEYS[3], token)
    if not rank or rank >= many then return nil end
    local time = redis.call('TIME')
    local fence = time[1] .. string.sub('00000' .. time[2], -6)
    local now_ms = string.sub(fence, 1, -4)
    -- The first of the holders to run out, and the first who waits.
    local line = redis.call('ZRANGE', KEYS[3], many - 1 .. '', many .. '', 'WITHSCORES')
    if not line[2] or line[2] + now_ms >= 0 then return nil end
    local head = line[3]
    local waiter = head and redis.call('HGET', KEYS[4], head)
    if head and not waiter then return nil end

    local newcomer -- who takes the permits
    if capacity == 0 then
        -- Beside readers a writer does not fit, and it stops all behind it.
        local till = string.match(waiter or '', '^2 (%d+) ')
        if many > 1 and head and not (till and till - now_ms > 0) then return nil end
    else
        local mine = redis.call('HGET', KEYS[4], ':' .. token) or ''
        local count, list = string.match(mine, '^3 p %d+ %d+%+?%d* (%d+) ([%d,]+) ')
        if not count then return nil end
        for slot in string.gmatch(list, '%d+') do
            if string.sub(slots, slot + 1, slot + 1) ~= '1' then return nil end
            slots = string.sub(slots, 1, slot) .. '0' .. string.sub(slots, slot + 2)
            count = count - 1
        end
        if count ~= 0 then return nil end
        if head then
            local till, units, wanted, who, inbox =
                string.match(waiter, '^3 (%d+) %d+ %d+ p (%d+) (%d+) ()(%S+) ')
            if not till or till - now_ms <= 0 or wanted - capacity ~= 0 or units - 0 == 0 then
                return nil
            end
            local taken = {}
            local left, found = string.gsub(slots, '()0', function(at)
                taken[#taken + 1] = at - 1
                return '1'
            end, units)
            if found - units == 0 then
                local behind = redis.call('ZCARD', KEYS[3]) - many - 1
                if behind > 0 and string.find(left, '0', 1, true) then return nil end
                if redis.pcall('PUBSUB', 'NUMSUB', inbox)[2] == 0 then return nil end
                newcomer = '3 p ' .. fence .. ' 0 ' .. units .. ' ' .. table.concat(taken, ',')
                newcomer = {holder = newcomer .. ' ', who = string.sub(waiter, who), till = till,
                    inbox = inbox, places = table.concat(taken, ','), behind = behind}
                slots = left
            end
        end
    end

    if newcomer or many == 1 and head then -- a fence is drawn (law 3), here or by the hand-off
        local last = string.match(redis.call('GET', KEYS[2]) or '1 0 -', '^1 (%d+) %S')
        if not last or last - fence >= 0 then return nil end
    end

    -- HDEL comes first because it needs no memory: what follows is then not refused for OOM.
    if redis.call('HDEL', KEYS[4], ':' .. token) == 0 then return nil end
    redis.call('ZREM', KEYS[3], token)
    if newcomer then -- a hand-off does not extend: its lease ends with its place
        redis.call('ZADD', KEYS[3], '-' .. newcomer.till, head)
        redis.call('HSET', KEYS[4], ':' .. head, newcomer.holder .. newcomer.who)
        redis.call('HDEL', KEYS[4], head) -- behind HSET: an empty key would lose its expiry
    elseif many == 1 then
        if not head then redis.call('DEL', KEYS[1]) end
        return true, head
    else
        many = many - 1
    end
    local group = MANY .. many .. ' ' .. capacity .. ' ' .. updater .. ' 0 ' .. slots
    local life -- until the last lease ends; nil: as before
    if rank == 0 then
        life = -redis.call('ZRANGE', KEYS[3], '0', '0', 'WITHSCORES')[2] - now_ms
    elseif newcomer then
        life = math.max(redis.call('PTTL', KEYS[1]), newcomer.till - now_ms)
    end
    if life then
        redis.call('SET', KEYS[1], group, 'PX', life .. '')
    else
        redis.call('SET', KEYS[1], group, 'KEEPTTL')
    end
    if newcomer then
        local newest = '1 ' .. fence .. ' ' .. head .. ' ' .. newcomer.who
        redis.call('SET', KEYS[2], newest, 'PX', life + FENCE_KEEP_MS .. '')
        local grant = 'p ' .. fence .. (newcomer.behind > 0 and ' 1 ' or ' 0 ') .. newcomer.places
        redis.pcall('PUBLISH', newcomer.inbox, grant .. ' ' .. head .. ' ' .. KEYS[1])
    end
    return true
end
