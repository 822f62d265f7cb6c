-- SPDX-License-Identifier: MIT
-- May this user run what the scripts run? Asked once for each connection, so
-- that a gap is named at once and no script fails half-way. Nothing is written:
-- each command is a no-op on a key that does not exist, or has a wrong number of
-- arguments that only the command itself notices, behind the permission check.
-- KEYS: those of a lock that nobody uses, so that a server which refuses any of them does
-- so here. ARGV: inbox, word to send there
-- -> {who is subscribed to the inbox by its name, missing command, ...}; '?' before a
--    command that the server does not know
local missing = {}
local readonly = false

local function try(command, ...)
    local reply = redis.pcall(command, ...)
    local refusal = type(reply) == 'table' and reply.err
    if not refusal then return reply end
    if string.find(refusal, "can't run this command", 1, true)
        or string.find(refusal, 'NOPERM', 1, true)
        or string.find(refusal, 'permission', 1, true) then
        missing[#missing + 1] = command == 'pubsub' and 'pubsub|numsub' or command
    elseif string.find(refusal, 'Unknown Redis command', 1, true) then
        missing[#missing + 1] = '?' .. command
    elseif string.find(refusal, 'READONLY', 1, true) then
        readonly = true
    end
    return 0
end

local lock, record, queue, waiters, broken = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
try('get', lock)
try('set', record, '', 'XX', 'PX', 1)
try('del', lock)
try('exists', queue)
try('pexpire', lock, 1)
try('pexpireat', lock, 1)
try('pttl', waiters)
try('time')
try('zadd', queue, 'XX', 1, 'x')
try('zcard', queue)
try('zrange', queue, 0, 0)
try('zrank', queue, 'x')
try('zrem', queue, 'x')
try('hget', waiters, 'x')
try('hmget', waiters, 'x')
try('hset', waiters, 'x', '', 'y')
try('hmget', broken, 'x')
try('hdel', waiters, 'x')
if readonly then return redis.error_reply("READONLY You can't write against a read only replica.") end
try('publish', ARGV[1], ARGV[2])
local heard = try('pubsub', 'NUMSUB', ARGV[1])
return {heard ~= 0 and heard[2] or 0, unpack(missing)}
