-- SPDX-License-Identifier: MIT
-- Every script has the same keys:
--   KEYS[1]  the lock: a plain string that holds the holder's token
--   KEYS[2]  the fence record of the latest grant: "1 FENCE TOKEN INBOX OWNER"
--   KEYS[3]  the queue: a sorted set of tokens, scored by order of arrival
--   KEYS[4]  the waiters: a hash, token -> "2 PLACE_UNTIL_MS TTL_MS SINCE_MS INBOX OWNER"
-- The leading number is the version of the format. OWNER is last: it may hold any byte.
--
-- Whatever calls the server names its command and its KEYS[n] on one line: from
-- the line number in the server's error the client tells which key has the
-- wrong type, or which permission is missing.
--
-- The server runs one script at a time, so what a script costs, everybody pays. The
-- common paths come first, before helpers that they do not need are even made (a
-- script makes its functions anew each time); and texts stay texts: a number that
-- goes to a command is printed with 17 digits, which costs as much as a GET.

-- A record outlives its lease by this, so that fences grow although the server's
-- clock steps back: by less than this always, by any step while the record lives.
local FENCE_KEEP_MS = 600000
