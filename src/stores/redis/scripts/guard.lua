-- SPDX-License-Identifier: MIT
-- May this server have forgotten locks, and until when do their holders believe them
-- (docs/protocol.md, "Restart guard")? Run once for each connection, when the guard's time
-- is over, and before a lease that is longer than the span.
-- KEYS: the guard's record, "1 RUN SINCE_MS SPAN_MS TILL_MS FAR_MS GUARDED"
--   RUN      run_id of the server that wrote it
--   SINCE    what was granted later is here
--   SPAN     the longest ttl that clients ask for without a word in FAR
--   TILL     when the last of the longer leases of earlier runs ends
--   FAR      the same of this run
--   GUARDED  1: locks may have been forgotten; 0: nobody knows of an earlier run
-- ARGV: span in ms; the run that the client knew, or ''; 1 if a missing record is a loss;
--   the ttl in ms of a longer lease that it is about to ask for, or 0
-- -> "LEFT_MS RUN"  for how long nothing may be granted, and the run
local info = redis.call('INFO', 'server')
local run = string.match(info, 'run_id:(%w+)')
-- Below 0 when the clock was set back behind the start of the process.
local uptime = tonumber(string.match(info, 'uptime_in_seconds:(-?%d+)'))
if not run or not uptime then return redis.error_reply('PAWLBLIND INFO has no run_id') end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local record = redis.call('GET', KEYS[1])
local was, since, span, till, far, guarded =
    string.match(record or '', '^1 (%w+) (%d+) (%d+) (%d+) (%d+) ([01])$')
since, span = tonumber(since or 0), tonumber(span or 0)
till, far = tonumber(till or 0), tonumber(far or 0)

local knew, is_strict, longer = ARGV[2], ARGV[3] == '1', tonumber(ARGV[4])
if was == run then
    guarded = guarded == '1' or is_strict or knew ~= '' and knew ~= run
else
    guarded = record or is_strict or knew ~= ''
    till, far = math.max(till, far), 0
    -- What was a replica has run for longer than it has been asked; and what was emptied
    -- while it ran may have forgotten something just now.
    local second = string.match(redis.call('INFO', 'replication'), 'master_replid2:(%w+)')
    since = now
    if second and not string.find(second, '[^0]') and knew ~= run then
        since = now - math.max(0, uptime - 1) * 1000
    end
end
since = math.min(since, now) -- the clock went back
span = math.max(span, tonumber(ARGV[1]))
if longer > 0 then far = math.max(far, now + longer + span) end

local text = string.format('1 %s %.0f %.0f %.0f %.0f %d', run, since, span, till, far,
    guarded and 1 or 0)
-- A server that refuses to write this refuses to grant as well.
if text ~= record then redis.pcall('SET', KEYS[1], text) end
local left = guarded and math.max(0, since + span - now, till - now) or 0
return string.format('%.0f %s', left, run)
