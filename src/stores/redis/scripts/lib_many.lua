-- SPDX-License-Identifier: MIT
-- Names that several hold together, and queues in which not all wait for the exclusive lock
-- (docs/protocol.md, "Several holders"). Included after lib_queue, where `held`, `record` and
-- `last` are known. The paths of a lock that one client holds at a time never come here.

--@include lib_group

local GRANTS_MAX = 1000 -- so many does one script let in
local TOLD_MAX = 100 -- so many holders does one script ask to yield; renewals tell the others
local HOLDERS_MAX = 10000

local now_ms = math.floor(clock() / 1000)
if lone then -- it gets a place among the holders. HDEL comes first because it needs no memory
    redis.call('HDEL', KEYS[4], ':' .. lone)
    redis.call('HSET', KEYS[4], ':' .. lone, lone_record)
    redis.call('ZADD', KEYS[3], '-' .. lone_till, lone)
end
local waiting = redis.call('ZCARD', KEYS[3]) - many
-- The keys beside the lock key are damaged, so nobody knows who they are: all wait for the end
-- of the last lease.
local lost = false
local blocked = false -- nobody may come in any more
local changed = lone -- the group is not any more what the lock key says
local latest -- "TOKEN INBOX OWNER" of the latest grant, if the record does not say so yet
local asker_fence, asker_slots -- what the asker was granted
-- Pushes: inbox, text; of a grant also fence, slots and token, because the text is made when it is
-- known whether others wait.
local news = {}

-- Whether these are so many slots of the semaphore, the lowest first.
local function are_slots(list, units)
    local before, count = -1, 0
    for slot in string.gmatch(list, '[^,]+') do
        local number = tonumber(slot)
        if not number or number <= before or number >= capacity then return false end
        before, count = number, count + 1
    end
    return count == tonumber(units)
end

-- Nil if it is no holder's record. Behind the number of its latest change stands '+' and that of
-- its latest publication, if there was one.
local function read_holder(text)
    local mode, fence, change, published, units, list, who =
        string.match(text or '', '^3 ([sup]) (%d+) (%d+)(%+?%d*) (%d+) ([%d,-]+) (%S+ .*)$')
    if not mode or mode == 'p' and not are_slots(list, units) then return nil end
    return {mode = mode, fence = fence, change = tonumber(change), published = published,
        units = units, list = list, who = who}
end

-- Of a token that stands among the holders.
local function record_of(token)
    return read_holder(redis.call('HGET', KEYS[4], ':' .. token))
end

-- A record without a place among the holders is from a group that is gone: the server threw
-- the queue's key out, and this was left. It must not be taken for one of those who hold now.
local function holder_of(token)
    if not capacity or lost then return nil end
    local holder = record_of(token)
    local rank = holder and redis.call('ZRANK', KEYS[3], token)
    if rank and rank < many then return holder end
    if holder then redis.call('HDEL', KEYS[4], ':' .. token) end
    return nil
end

local function text_of(holder)
    return '3 ' .. holder.mode .. ' ' .. holder.fence .. ' ' .. holder.change
        .. holder.published .. ' ' .. holder.units .. ' ' .. holder.list .. ' ' .. holder.who
end

-- Returns 0 if the token stood in the queue's key before, 1 otherwise.
local function write_holder(token, holder, till)
    local is_new = redis.call('ZADD', KEYS[3], -till, token)
    redis.call('HSET', KEYS[4], ':' .. token, text_of(holder))
    changed = true
    return is_new
end

local function inbox_of(who)
    return string.match(who, '^%S+')
end

local function free_slots(list)
    local mine = {}
    for slot in string.gmatch(list, '%d+') do mine[slot + 1] = true end
    slots = string.gsub(slots, '()1', function(at) return mine[at] and '0' or nil end)
end

-- The lowest that are free (rule 11), as many as units.
local function take_slots(units)
    local taken = {}
    slots = string.gsub(slots, '()0', function(at)
        taken[#taken + 1] = at - 1
        return '1'
    end, units)
    return table.concat(taken, ',')
end

-- The server threw out a record, so nobody knows which permits were its holder's. All that no
-- other holder has are free, once the records of all who are left are there.
local function recount()
    local taken = {}
    local tokens = many <= capacity and redis.call('ZRANGE', KEYS[3], '0', many - 1) or {}
    if #tokens < many then return end
    for _, token in ipairs(tokens) do
        local holder = record_of(token)
        if not holder then return end
        for slot in string.gmatch(holder.list, '%d+') do taken[slot + 1] = true end
    end
    slots = string.gsub(slots, '()%d', function(at) return taken[at] and '1' or '0' end)
end

-- These hold no more. At most 1000 tokens.
local function part(tokens)
    if #tokens == 0 then return end
    local fields = {}
    for i, token in ipairs(tokens) do
        fields[i] = ':' .. token
        if token == updater then updater, upgrade = '-', 0 end
    end
    local is_one_unknown = false
    if capacity and capacity > 0 then
        for _, text in ipairs(redis.call('HMGET', KEYS[4], unpack(fields))) do
            local holder = read_holder(text)
            if holder then free_slots(holder.list) end
            is_one_unknown = is_one_unknown or not holder
        end
    end
    redis.call('HDEL', KEYS[4], unpack(fields))
    redis.call('ZREM', KEYS[3], unpack(tokens))
    many = many - #tokens
    changed = true
    if is_one_unknown and many > 0 then recount() end
end

-- Nobody of the group is left.
local function dissolve()
    redis.call('DEL', KEYS[1])
    held, capacity, changed = nil, nil, false
end

-- The last of the queue's key up to this rank whose scores are from `least` on and below 0.
local function some_holders(last_rank, least)
    local first_rank = math.max(0, last_rank - 999)
    local line = redis.call('ZRANGE', KEYS[3], first_rank, last_rank, 'WITHSCORES')
    local tokens = {}
    for i = 1, #line, 2 do
        local score = tonumber(line[i + 1])
        if score >= least and score < 0 then tokens[#tokens + 1] = line[i] end
    end
    return tokens
end

-- Those whose leases ran out hold no more. The first of them to run out stands last.
local function part_expired()
    if not capacity then
        -- What is left of a group that is gone stands before all who wait.
        while waiting > 0 do
            local first = redis.call('ZRANGE', KEYS[3], '0', '0', 'WITHSCORES')
            if tonumber(first[2]) >= 0 then return end
            local tokens = some_holders(999, -math.huge)
            part(tokens)
            many, waiting, changed = 0, waiting - #tokens, false
        end
        return
    end
    while many > 0 do
        local first = redis.call('ZRANGE', KEYS[3], many - 1, many - 1, 'WITHSCORES')
        local score = tonumber(first[2])
        if not score or score >= 0 then
            lost, many, waiting = true, 0, waiting + many
            return
        end
        if -score > now_ms then return end
        part(some_holders(many - 1, -now_ms))
    end
    dissolve()
end

local function found(wanted)
    capacity, updater, upgrade = wanted, '-', 0
    slots = wanted > 0 and string.rep('0', wanted) or '-'
end

-- Whether one who wants this may come in beside those who hold: the table of pawl_mode.
local function fits(mode, units)
    --@guarded do return false end
    if lost or held and not capacity then return false end
    if mode == 'x' or many == 0 then return many == 0 end
    if mode == 's' then return capacity == 0 end
    if mode == 'u' then return capacity == 0 and updater == '-' end
    local _, free = string.gsub(slots, '0', '')
    return capacity > 0 and free >= tonumber(units)
end

-- Whether there is no room for one more, or no fence (lib_last).
local function is_full()
    return many >= HOLDERS_MAX or #last > 16 or #last == 16 and last >= '9007199254740992'
end

-- The first one that a script draws is drawn like all others. Then each is one more, and only its
-- end is counted, because to print the whole number costs as much as a command.
local drawn, head, tail
local function next_fence()
    if last == drawn and tail < 999999 then
        tail = tail + 1
        last = head .. string.sub(1000000 + tail, 2)
    else
        last = draw(last)
        head, tail = string.sub(last, 1, -7), tonumber(string.sub(last, -6))
    end
    drawn = head ~= '' and last
    return last
end

-- A holder of the exclusive lock; `counts` are the numbers of its latest change and publication.
-- They stand behind a NUL after the label, which ends there for whoever does not need them.
local function write_exclusive(token, ttl, fence, who, counts)
    write_grant(token, ttl, fence, counts ~= '0' and who .. '\0' .. counts or who)
    record = '1 ' .. fence .. ' ' .. token .. ' ' .. who
    held, blocked, latest = token, true, nil
end

-- One holder more, with a fence; its permits are returned. Still to be written, also as `latest`.
local function join(token, mode, units, wanted)
    if not capacity then found(wanted) end
    if mode == 'u' then updater = token end
    many = many + 1
    next_fence()
    return mode == 'p' and take_slots(tonumber(units)) or '-'
end

local function let_in(token, mode, units, wanted, who)
    local list = join(token, mode, units, wanted)
    latest = token .. ' ' .. who
    return {mode = mode, fence = last, change = '0', published = '', units = units,
        list = list, who = who}
end

local function tell(inbox, text)
    news[#news + 1] = {inbox, text}
end

local function tell_grant(token, inbox, list)
    local letter, places = 'g ', ' '
    if list and list ~= '-' then letter, places = 'p ', ' ' .. list .. ' ' end
    news[#news + 1] = {inbox, letter, last, places, token}
end

-- The one in mode update is alone: now it is exclusive. `till`: when its lease ends. False: its
-- record was lost, so it keeps what it has until then.
local function finish_upgrade(till, is_asker)
    local token, holder = updater, holder_of(updater)
    if not holder then return false end
    part({token})
    capacity, changed = nil, false
    write_exclusive(token, till - now_ms, next_fence(), holder.who, holder.change .. holder.published)
    if not is_asker then tell_grant(token, inbox_of(holder.who)) end
    return true
end

local function read_waiter(text)
    local till, who, inbox = string.match(text, '^2 (%d+) %d+ %d+ ()(%S+) ')
    local mode, units, wanted = 'x', '0', '0'
    if not till then
        till, mode, units, wanted, who, inbox =
            string.match(text, '^3 (%d+) %d+ %d+ ([sup]) (%d+) (%d+) ()(%S+) ')
        if not till then return nil end
        local is_good = units == '0'
        if mode == 'p' then is_good = units - 0 > 0 and units - wanted <= 0 end
        if not is_good then return nil end
    end
    return {till = till, mode = mode, units = units,
        wanted = wanted == '0' and 0 or tonumber(wanted), who = string.sub(text, who), inbox = inbox}
end

-- Those who came in from the queue, written in one go: what they were, where they stand now,
-- what they are. HDEL comes first because it needs no memory.
local left, moved, written = {}, {}, {}
local newest_who
local function write_admitted()
    if #left == 0 then return end
    latest = left[#left] .. ' ' .. newest_who
    redis.call('HDEL', KEYS[4], unpack(left))
    redis.call('ZADD', KEYS[3], unpack(moved))
    redis.call('HSET', KEYS[4], unpack(written))
    left, moved, written, changed = {}, {}, {}, true
end

-- The waiter comes in. A hand-off does not extend: its lease ends with its place. The asker
-- gets a whole ttl, and no push.
local function admit(token, waiter, asker)
    waiting = waiting - 1
    local till = asker and now_ms + asker.ttl or waiter.till
    local who = asker and asker.who or waiter.who
    local list
    if waiter.mode == 'x' then
        take_out(token)
        write_exclusive(token, till - now_ms, next_fence(), who, '0')
    else
        local mode, units, at, pair = waiter.mode, waiter.units, #left + 1, 2 * #left + 1
        list = join(token, mode, units, waiter.wanted)
        left[at], newest_who = token, who
        moved[pair], moved[pair + 1] = '-' .. till, token
        written[pair] = ':' .. token -- as text_of
        written[pair + 1] = '3 ' .. mode .. ' ' .. last .. ' 0 ' .. units .. ' ' .. list .. ' ' .. who
    end
    if asker then
        asker_fence, asker_slots = last, list
    else
        tell_grant(token, waiter.inbox, list)
    end
end

-- The next in the queue, and its record, of which some are read at once: one at first,
-- because it seldom fits. `at` is its rank: holders and those passed over stand before it,
-- and those who have come in and are not written yet.
local ahead_tokens, ahead_waiters, ahead_next = {}, {}, 1
local inboxes = {} -- whether nobody hears them

-- Asks for all of these waiters in one go. An error says nothing: then each is asked for alone.
local function ask_who_hears(waiters)
    local asked = {}
    for _, waiter in ipairs(waiters) do
        if waiter then asked[#asked + 1] = waiter.inbox end
    end
    local heard = redis.pcall('PUBSUB', 'NUMSUB', unpack(asked))
    for i = 1, #heard, 2 do inboxes[heard[i]] = heard[i + 1] == 0 end
end

local function next_waiter(at)
    if ahead_next > #ahead_tokens then
        local ahead_size = 1
        if #ahead_tokens > 0 then
            -- No more come in than there are permits left, and the one behind them does not fit.
            local _, free = string.gsub(capacity and capacity > 0 and slots or '', '0', '')
            ahead_size = capacity == 0 and 100 or math.min(100, free + 1)
        end
        ahead_tokens = redis.call('ZRANGE', KEYS[3], at, at + ahead_size - 1)
        if not ahead_tokens[1] then return nil end
        ahead_waiters = redis.call('HMGET', KEYS[4], unpack(ahead_tokens))
        for i, text in ipairs(ahead_waiters) do
            ahead_waiters[i] = text and read_waiter(text) or false
        end
        if #ahead_tokens > 1 then ask_who_hears(ahead_waiters) end
        ahead_next = 1
    end
    local i = ahead_next
    ahead_next = i + 1
    return ahead_tokens[i], ahead_waiters[i]
end

local function is_inbox_away(inbox)
    if inboxes[inbox] == nil then inboxes[inbox] = is_away(inbox) end
    return inboxes[inbox]
end

-- Strict order of arrival (rule 9): from the head of the queue as long as it fits. Who is
-- away is passed over and keeps its place; whose place ran out loses it. `asker` may be
-- nil, or {token, ttl, who, mode, units, wanted}.
local function serve(asker)
    --@guarded blocked = true
    --@guarded do return end
    if capacity and upgrade > 0 and upgrade <= now_ms then upgrade, changed = 0, true end
    if capacity and upgrade > 0 and not lost then
        blocked = true
        if many > 1 then return end
        if finish_upgrade(-redis.call('ZRANGE', KEYS[3], '0', '0', 'WITHSCORES')[2]) then return end
        upgrade, changed = 0, true
    end
    blocked = lost or held and not capacity
    local away, skipped, granted = 0, 0, 0
    ahead_tokens, ahead_next = {}, 1
    while waiting > away and not blocked do
        local token, waiter = next_waiter(many + away)
        if not token then break end
        local asks = asker and token == asker.token and asker
        if asks and waiter then -- the request says it, whatever the record says
            waiter.mode, waiter.units, waiter.wanted = asks.mode, asks.units, asks.wanted
        end
        local is_one = waiter and waiter.till - now_ms > 0
        if not is_one or capacity and waiter.wanted ~= capacity then
            take_out(token)
            waiting, skipped = waiting - 1, skipped + 1
        elseif not fits(waiter.mode, waiter.units) then
            blocked = true
        elseif asks then
            admit(token, waiter, asks)
        elseif is_inbox_away(waiter.inbox) then
            away, skipped = away + 1, skipped + 1
        else
            admit(token, waiter, nil)
            granted = granted + 1
        end
        if skipped >= SKIP_MAX or granted >= GRANTS_MAX or is_full() then blocked = true end
    end
    write_admitted()
    if away < SKIP_MAX then return end
    -- They would hide all others from each script that comes: they lose their places after all.
    for _ = 1, away do
        take_out(redis.call('ZRANGE', KEYS[3], many, many)[1])
    end
    waiting = waiting - away
end

-- Whether somebody waits for what this token holds.
local function is_awaited(token)
    return waiting > 0 or capacity and upgrade > 0 and updater ~= token
end

-- The queue was empty, and now one waits for this: those beside whom it does not fit hear
-- of it. A hint: their renewals say it again.
local function ask_to_yield(mode)
    if held and not capacity then
        local from = #last + 4
        if not record or string.sub(record, from, from + #held) ~= held .. ' ' then return end
        tell(string.match(record, '^%S+', from + #held + 1), 'y ' .. held .. ' ' .. KEYS[1])
        return
    end
    if many == 0 then return end
    local tokens = {updater}
    if mode ~= 'u' then
        tokens = redis.call('ZRANGE', KEYS[3], '0', math.min(many, TOLD_MAX) - 1)
    end
    for _, token in ipairs(tokens) do
        local holder = record_of(token)
        if holder and not (mode == 'upgrade' and token == updater) then
            tell(inbox_of(holder.who), 'y ' .. token .. ' ' .. KEYS[1])
        end
    end
end

-- In how many ms the first of the holders ends; -1: never, 0: nobody holds.
local function holder_ms()
    if many > 0 then
        local first = redis.call('ZRANGE', KEYS[3], many - 1, many - 1, 'WITHSCORES')
        return -first[2] - now_ms
    end
    return held and math.min(redis.call('PTTL', KEYS[1]), 99999999999999) or 0
end

-- A lease of the group gets its whole ttl, from now. PEXPIRE comes first because it needs no
-- memory: what follows is then not refused for OOM.
local function extend(token, holder, ttl, who)
    redis.call('PEXPIRE', KEYS[1], ttl)
    holder.who = who
    write_holder(token, holder, now_ms + ttl)
    if record then return end
    if last - holder.fence < 0 then last = holder.fence end
    latest = token .. ' ' .. who
end

-- The keys live as long as anybody in them, and a third longer, so as to be touched rarely. Either
-- may be new although the other is not: a server that is full may have thrown it out.
local function keep_keys(ttl)
    if redis.call('PTTL', KEYS[3]) >= ttl and redis.call('PTTL', KEYS[4]) >= ttl then return end
    local life = math.ceil(ttl * 4 / 3)
    redis.call('PEXPIRE', KEYS[3], life)
    redis.call('PEXPIRE', KEYS[4], life)
end

-- The token with this fence, and its inbox.
local function holder_of_fence(fence)
    for at = 0, many - 1, 1000 do
        local tokens = redis.call('ZRANGE', KEYS[3], at, math.min(at + 1000, many) - 1)
        for _, token in ipairs(tokens) do
            local holder = record_of(token)
            if holder and tonumber(holder.fence) == tonumber(fence) then
                return token, inbox_of(holder.who)
            end
        end
    end
end

-- The last step of every script that changed something: what the lock key and the record
-- say, and who hears of it.
local function finish()
    if capacity and changed and not lost then
        local till = -redis.call('ZRANGE', KEYS[3], '0', '0', 'WITHSCORES')[2]
        local ttl = till - now_ms
        held = MANY .. many .. ' ' .. capacity .. ' ' .. updater .. ' ' .. string.format('%.0f', upgrade)
            .. ' ' .. slots
        redis.call('SET', KEYS[1], held, 'PX', ttl)
        keep_keys(ttl)
        if latest then
            redis.call('SET', KEYS[2], '1 ' .. last .. ' ' .. latest, 'PX', record_ttl(ttl, last))
        else
            redis.call('PEXPIRE', KEYS[2], record_ttl(ttl, last))
        end
    end
    local flag, behind = waiting > 0 and ' 1' or ' 0', ' ' .. KEYS[1]
    for _, push in ipairs(news) do
        local text = push[2]
        if push[3] then text = text .. push[3] .. flag .. push[4] .. push[5] .. behind end
        redis.pcall('PUBLISH', push[1], text)
    end
end
