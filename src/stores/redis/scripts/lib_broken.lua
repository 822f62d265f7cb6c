-- SPDX-License-Identifier: MIT
-- Notes of who broke which lease (rule 13), in KEYS[5], a hash:
--   TOKEN  of the lease -> "1 TILL_MS AT_MS FENCE LABEL"
--   -      the tokens that have one, the newest first
-- They are for people and decide nothing: what goes wrong with them is passed over.
local BROKEN_KEEP_MS = 60000
local BROKEN_MAX = 16

-- The tokens whose notes stand and stay beside a new one; the other notes are deleted.
local function keep_notes(but, now_ms)
    local kept, count = '', 1
    local line = redis.pcall('HGET', KEYS[5], '-')
    if type(line) ~= 'string' then return kept end
    for token in string.gmatch(line, '%S+') do
        local note = token ~= but and redis.pcall('HGET', KEYS[5], token)
        local till = type(note) == 'string' and tonumber(string.match(note, '^1 (%d+) '))
        if till and till > now_ms and count < BROKEN_MAX then
            kept = kept .. ' ' .. token
            count = count + 1
        else
            redis.pcall('HDEL', KEYS[5], token)
        end
    end
    return kept
end

-- `left_ms`: for how long the lease would have lived.
local function note_break(token, fence, by, left_ms)
    if string.find(token, '%s') or token == '-' then token = '?' end -- a foreign holder's
    local now_ms = math.floor(clock() / 1000)
    local span = math.max(left_ms, BROKEN_KEEP_MS)
    local tokens = token .. keep_notes(token, now_ms)
    local note = string.format('1 %.0f %.0f ', now_ms + span, now_ms) .. fence .. ' ' .. by
    local added = redis.pcall('HSET', KEYS[5], '-', tokens, token, note)
    if type(added) ~= 'number' then return end
    local life = math.max(span, redis.call('PTTL', KEYS[5]))
    redis.call('PEXPIRE', KEYS[5], string.format('%.0f', life))
end
