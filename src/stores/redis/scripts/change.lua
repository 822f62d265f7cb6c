-- SPDX-License-Identifier: MIT
-- CHANGE: my lease gets another mode (rule 10).
-- ARGV: token, ttl in ms, "INBOX OWNER", mode (x, s, u or p), the number of the change, and
--   0 to be told rather than to wait
-- -> 0 FENCE WAITING [SLOT,...]  done
--    1 0 HOLDER_MS FENCE         it waits, ahead of all who queue
--    2 HOLDER_MS OWNER           busy
--    6 [OWNER]                   not the owner, or a change that came late; who broke its lease
--@include lib_keys
local token, ttl, who, mode = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local number, asks_only = tonumber(ARGV[5]), ARGV[6]
local held = redis.call('GET', KEYS[1])
--@include lib_last
--@include lib_fence
--@include lib_queue
--@include lib_many
part_expired()
serve(nil)

local holder = holder_of(token)
if not holder and held == token then
    -- It has the lock for itself. The numbers of its latest change and publication end the record.
    local from = #last + 4
    local is_its = record and string.sub(record, from, from + #token) == token .. ' '
    local nul = is_its and string.find(record, '\0', from, true)
    local counts = nul and string.sub(record, nul + 1) or ''
    local change, published = string.match(counts, '^(%d+)(%+?%d*)$')
    holder = {mode = 'x', units = '0', list = '-', change = tonumber(change or 0),
        published = published or ''}
    -- A fence that is drawn is written, or it would be drawn again (law 3).
    if not is_its then latest = token .. ' ' .. who end
    holder.fence = is_its and last or next_fence()
end
if not holder or number < holder.change then
    finish()
--@include lib_not_owner
end

-- Every other answer extends, as a renewal does.
local till = now_ms + ttl
local from = holder.mode
local is_upgrade = from == 'u' and mode == 'x'
local is_allowed = is_upgrade or mode == from or mode == 's' and from ~= 'p'
    or mode == 'u' and from == 'x'
if is_allowed then holder.change = number end
holder.who = who

local function done()
    finish()
    local places = holder.list ~= '-' and ' ' .. holder.list or ''
    return '0 ' .. holder.fence .. (is_awaited(token) and ' 1' or ' 0') .. places
end

if from == 'x' then
    redis.call('PEXPIRE', KEYS[1], ttl)
    if mode == 'x' or not is_allowed then
        write_exclusive(token, ttl, last, who, holder.change .. holder.published)
    else
        found(0)
        many = 1
    end
else
    extend(token, holder, ttl, who)
end
if not is_allowed then
    finish()
    return redis.error_reply('PAWLMODE ' .. from .. mode)
end

if is_upgrade then
    local is_alone = many == 1
    --@guarded is_alone = false
    if is_alone then
        finish_upgrade(till, true)
        holder.fence = last
        return done()
    end
    local was_awaited = is_awaited('-')
    upgrade = asks_only and 0 or now_ms + math.ceil(ttl * 2 / 3)
    if asks_only then
        serve(nil)
    elseif not was_awaited then
        ask_to_yield('upgrade')
    end
    local ends_in = holder_ms()
    finish()
    if asks_only then return '2 ' .. ends_in .. ' ' end
    return '1 0 ' .. ends_in .. ' ' .. last
end

if from ~= 'x' or mode ~= 'x' then
    if from == 'u' then updater, upgrade = '-', 0 end
    if mode == 'u' then updater = token end
    holder.mode = mode
    write_holder(token, holder, till)
    serve(nil)
end
return done()
