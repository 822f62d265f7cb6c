-- SPDX-License-Identifier: MIT
-- Those who wait. Included after lib_fence by the scripts that may give the lock to one of them.

-- A script that meets more waiters than this which cannot take the lock leaves the rest to
-- the next one: it must not hold up the server.
local SKIP_MAX = 256

-- Whether nobody is subscribed to this inbox by its name: then the waiter's connection is
-- gone. What PUBLISH counts is no proof, for it includes whoever listens to a pattern. An
-- error (no permission) says nothing about the waiter: its timer finds out.
local function is_away(inbox)
    return redis.pcall('PUBSUB', 'NUMSUB', inbox)[2] == 0
end

local function take_out(token)
    redis.call('ZREM', KEYS[3], token)
    redis.call('HDEL', KEYS[4], token)
end
