-- SPDX-License-Identifier: MIT
--
-- The schema of pawl's locks in MariaDB and MySQL, and everything that changes it. It may be run again at
-- any time, also by two at once. `pawl schema mariadb` prints it, for users who may not create:
-- run it in the database that pawl's URL names ("pawl" if it names none), and let them use it:
--
--     GRANT EXECUTE ON pawl.* TO app;
--
-- Rules are those of include/pawl/store.h. All instants are microseconds since 1970 of UTC_TIMESTAMP(6),
-- which each statement of a procedure reads anew. Names, labels and values are bytes.
DELIMITER //
SET SESSION sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION'
//
DO GET_LOCK('pawl schema', 30)
//
-- What is remembered of a name: also of a free one, for a while, so that its fences go on.
CREATE TABLE IF NOT EXISTS pawl_name (
    name VARBINARY(512) NOT NULL,
    fence BIGINT NOT NULL,     -- the latest drawn
    capacity INT NOT NULL,     -- of a semaphore; 0: it is a lock
    keep_us BIGINT NOT NULL,   -- if nobody holds it and nobody waits, it may be removed then
    PRIMARY KEY (name),
    KEY name_keep (keep_us)
) ENGINE = InnoDB
//
CREATE TABLE IF NOT EXISTS pawl_hold (
    name VARBINARY(512) NOT NULL,
    token VARBINARY(40) NOT NULL,
    mode TINYINT NOT NULL,       -- 0 exclusive, 1 shared, 2 update, 3 permit
    fence BIGINT NOT NULL,
    until_us BIGINT NOT NULL,    -- the end of the lease
    ttl_us BIGINT NOT NULL,
    upgrade_us BIGINT NOT NULL,  -- until when it waits to be upgraded; 0: it does not
    changed BIGINT NOT NULL,     -- the latest change that was carried out
    units INT NOT NULL,          -- its slots are in pawl_slot
    client VARBINARY(32) NOT NULL, -- whose letters tell of it; '': it cannot hear
    owner VARBINARY(255) NOT NULL, -- its label, for people
    published BIGINT NOT NULL DEFAULT 0, -- the number of its latest publication
    PRIMARY KEY (name, token)
) ENGINE = InnoDB
//
-- One of format 1 knows no numbers. MySQL has no ADD COLUMN IF NOT EXISTS.
DROP PROCEDURE IF EXISTS pawl_add_published
//
CREATE PROCEDURE pawl_add_published()
BEGIN
    IF NOT EXISTS (SELECT 1 FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE()
        AND TABLE_NAME = 'pawl_hold' AND COLUMN_NAME = 'published') THEN
        ALTER TABLE pawl_hold ADD COLUMN published BIGINT NOT NULL DEFAULT 0;
    END IF;
END
//
CALL pawl_add_published()
//
DROP PROCEDURE pawl_add_published
//
CREATE TABLE IF NOT EXISTS pawl_slot (
    name VARBINARY(512) NOT NULL,
    slot INT NOT NULL,
    token VARBINARY(40) NOT NULL,
    PRIMARY KEY (name, slot)
) ENGINE = InnoDB
//
CREATE TABLE IF NOT EXISTS pawl_wait (
    name VARBINARY(512) NOT NULL,
    seq BIGINT NOT NULL,         -- the order of arrival
    token VARBINARY(40) NOT NULL,
    mode TINYINT NOT NULL,
    until_us BIGINT NOT NULL,    -- the end of the place
    ttl_us BIGINT NOT NULL,
    since_us BIGINT NOT NULL,
    units INT NOT NULL,
    client VARBINARY(32) NOT NULL,
    owner VARBINARY(255) NOT NULL,
    PRIMARY KEY (name, seq),
    UNIQUE KEY wait_token (name, token)
) ENGINE = InnoDB
//
-- Who has broken a lease, for people: the newest of each name.
CREATE TABLE IF NOT EXISTS pawl_broken (
    name VARBINARY(512) NOT NULL,
    token VARBINARY(40) NOT NULL,
    fence BIGINT NOT NULL,
    at_us BIGINT NOT NULL,
    until_us BIGINT NOT NULL,    -- the note is told until then
    owner VARBINARY(255) NOT NULL, -- of who broke it
    PRIMARY KEY (name, fence)
) ENGINE = InnoDB
//
-- A value beside a name, and who wants to hear of the next one.
CREATE TABLE IF NOT EXISTS pawl_value (
    name VARBINARY(512) NOT NULL,
    bytes VARBINARY(4300) NOT NULL,
    fence BIGINT NOT NULL,       -- of the lease under which it was published
    at_us BIGINT NOT NULL,
    until_us BIGINT NOT NULL,    -- it is kept until then
    owner VARBINARY(255) NOT NULL, -- the label of who published it
    PRIMARY KEY (name),
    KEY value_until (until_us)
) ENGINE = InnoDB
//
CREATE TABLE IF NOT EXISTS pawl_watch (
    name VARBINARY(512) NOT NULL,
    client VARBINARY(32) NOT NULL,
    until_us BIGINT NOT NULL,
    PRIMARY KEY (name, client),
    KEY watch_until (until_us)
) ENGINE = InnoDB
//
-- What clients are told. Written after the commit of what it tells, and lost when the server ends: a
-- letter is a hint. In memory, because writing and removing it must not wait for a disk.
CREATE TABLE IF NOT EXISTS pawl_letter (
    seq BIGINT NOT NULL AUTO_INCREMENT,
    client VARBINARY(32) NOT NULL,
    kind BINARY(1) NOT NULL,     -- g granted, p permits granted, y asked to yield, r ask again, n a new value
    fence BIGINT NOT NULL,
    awaited TINYINT NOT NULL,
    token VARBINARY(40) NOT NULL,
    name VARBINARY(512) NOT NULL,
    at_us BIGINT NOT NULL,
    PRIMARY KEY (seq) USING BTREE,
    KEY letter_client (client, seq) USING BTREE,
    KEY letter_at (at_us) USING BTREE
) ENGINE = MEMORY
//

-- ---- Beginning and end of every request ------------------------------------------------------

-- Requests for one name come one after the other, from here to the end of the transaction: each locks
-- the row of the name. Each statement behind this one sees what the ones before have committed. A name
-- that is not there is made if `make` says so; else last, its fence, is NULL: then nothing of it lives.
DROP PROCEDURE IF EXISTS pawl_enter
//
CREATE PROCEDURE pawl_enter(n VARBINARY(512), make BOOLEAN, OUT now_us BIGINT, OUT is_new BOOLEAN,
    OUT last BIGINT, OUT cap INT) MODIFIES SQL DATA
BEGIN
    ROLLBACK; -- of what a killed request has left behind
    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;
    SET @pawl_mail = '', is_new = FALSE;
    SELECT fence, capacity INTO last, cap FROM pawl_name WHERE name = n FOR UPDATE;
    IF last IS NULL AND make THEN -- nobody has it, or somebody else is just making it, and is waited for here
        INSERT INTO pawl_name VALUES (n, 0, 0, 0) ON DUPLICATE KEY UPDATE fence = fence;
        SELECT fence, capacity, keep_us = 0 INTO last, cap, is_new FROM pawl_name WHERE name = n;
    END IF;
    SET now_us = TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6));
    IF is_new THEN
        UPDATE pawl_name SET keep_us = now_us + 1200000000 WHERE name = n;
    END IF;
END
//

-- ---- Pushes ----------------------------------------------------------------------------------

-- A client that hears has a connection, the listener, that holds the named lock pawl.CLIENT, and waits for
-- pawl.wait.CLIENT, which its other connection holds for as long as it lives. To wake it, what it does is
-- killed; IS_USED_LOCK tells which connection it is, and whether it is there at all. (It does not SLEEP: in
-- MariaDB all sleeps share a mutex, on which who kills one may wait for two seconds, and all others with it.)
DROP PROCEDURE IF EXISTS pawl_ring
//
CREATE PROCEDURE pawl_ring(client VARBINARY(32))
BEGIN
    DECLARE id BIGINT DEFAULT IS_USED_LOCK(CONCAT('pawl.', client));
    IF id IS NOT NULL THEN KILL QUERY id; END IF;
END
//
-- Whether this client can be woken: "rung" or "deaf", or the error of KILL.
DROP PROCEDURE IF EXISTS pawl_try
//
CREATE PROCEDURE pawl_try(client VARBINARY(32))
BEGIN
    CALL pawl_ring(client);
    SELECT IF(IS_USED_LOCK(CONCAT('pawl.', client)) IS NULL, 'deaf', 'rung') AS reply;
END
//
-- It leaves, or comes back: nothing is handed to its old connections any more, and what they do ends.
DROP PROCEDURE IF EXISTS pawl_leave
//
CREATE PROCEDURE pawl_leave(client VARBINARY(32))
BEGIN
    DECLARE hears BIGINT DEFAULT IS_USED_LOCK(CONCAT('pawl.', client));
    DECLARE asks BIGINT DEFAULT IS_USED_LOCK(CONCAT('pawl.wait.', client));
    DECLARE CONTINUE HANDLER FOR 1094 BEGIN END; -- it has ended by itself
    IF hears IS NOT NULL THEN KILL CONNECTION hears; END IF;
    IF asks <> CONNECTION_ID() THEN KILL CONNECTION asks; END IF;
    -- KILL returns at once; what holds this lock has ended when it can be had. The listener waits for the
    -- other one, which is given up first: else each would wait for the other.
    IF asks = CONNECTION_ID() THEN DO RELEASE_LOCK(CONCAT('pawl.wait.', client)); END IF;
    IF hears IS NOT NULL AND GET_LOCK(CONCAT('pawl.', client), 1) THEN
        DO RELEASE_LOCK(CONCAT('pawl.', client));
    END IF;
END
//
-- A letter is told after the commit, by deliver: until then it is 94 characters of @pawl_mail.
DROP PROCEDURE IF EXISTS pawl_tell
//
CREATE PROCEDURE pawl_tell(client VARBINARY(32), kind CHAR(1), fence BIGINT, awaited BOOLEAN,
    token VARBINARY(40))
BEGIN
    IF client <> '' THEN
        SET @pawl_mail = CONCAT(@pawl_mail, RPAD(client, 32, ' '), kind, LPAD(fence, 20, '0'),
            IF(awaited, '1', '0'), RPAD(token, 40, '-'));
    END IF;
END
//
-- Nothing that fails here undoes what was committed. Who is away asks when it is back.
DROP PROCEDURE IF EXISTS pawl_post
//
CREATE PROCEDURE pawl_post(n VARBINARY(512), now_us BIGINT, cl VARBINARY(32), what BINARY(1), f BIGINT,
    awaited BOOLEAN, tok VARBINARY(40)) MODIFIES SQL DATA
BEGIN
    DECLARE id BIGINT DEFAULT IS_USED_LOCK(CONCAT('pawl.', cl));
    DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN END;
    IF id IS NOT NULL THEN
        INSERT INTO pawl_letter (client, kind, fence, awaited, token, name, at_us)
            VALUES (cl, what, f, awaited, tok, n, now_us);
        KILL QUERY id;
    END IF;
END
//
DROP PROCEDURE IF EXISTS pawl_deliver
//
CREATE PROCEDURE pawl_deliver(n VARBINARY(512), now_us BIGINT) MODIFIES SQL DATA
BEGIN
    DECLARE at INT DEFAULT 1;
    DECLARE one VARBINARY(94);
    WHILE at < LENGTH(@pawl_mail) DO
        SET one = SUBSTRING(@pawl_mail, at, 94);
        CALL pawl_post(n, now_us, RTRIM(SUBSTRING(one, 1, 32)), SUBSTRING(one, 33, 1),
            SUBSTRING(one, 34, 20), SUBSTRING(one, 54, 1), SUBSTRING(one, 55, 40));
        SET at = at + 94;
    END WHILE;
    SET @pawl_mail = '';
END
//
-- The letters of a client behind the one that it has read last, if there are any, at once; then it waits
-- for the next one, which ends the call, or for span seconds. What comes between the two ends it as well.
-- The letters of a grant of permits have the slots; if these are given back already it is to ask again. If
-- its other connection ends nothing is handed to it any more, at once: perhaps its process is gone.
DROP PROCEDURE IF EXISTS pawl_listen
//
CREATE PROCEDURE pawl_listen(cl VARBINARY(32), has_read BIGINT, span INT) MODIFIES SQL DATA
BEGIN
    DECLARE unread, permits INT;
    SELECT COUNT(*), SUM(kind = 'p') INTO unread, permits FROM pawl_letter
        WHERE client = cl AND seq > has_read;
    IF permits > 0 THEN
        SELECT l.seq, CONCAT(IF(l.kind <> 'p', l.kind, IF(s.slots IS NULL, 'r', 'g')), ' ', l.fence,
            ' ', l.awaited, ' ', IFNULL(s.slots, '-'), ' ', l.token, ' ', LOWER(HEX(l.name)))
        FROM pawl_letter l LEFT JOIN (SELECT name, token, GROUP_CONCAT(slot ORDER BY slot) AS slots
            FROM pawl_slot WHERE (name, token) IN (SELECT name, token FROM pawl_letter
                WHERE client = cl AND kind = 'p')
            GROUP BY name, token) s ON l.kind = 'p' AND s.name = l.name AND s.token = l.token
        WHERE l.client = cl AND l.seq > has_read ORDER BY l.seq LIMIT 1000;
    ELSEIF unread > 0 THEN -- without what makes a temporary table, which takes as long as all the rest
        SELECT seq, CONCAT(IF(kind = 'p', 'r', kind), ' ', fence, ' ', awaited, ' - ', token, ' ',
            LOWER(HEX(name)))
        FROM pawl_letter WHERE client = cl AND seq > has_read ORDER BY seq LIMIT 1000;
    END IF;
    IF has_read > 0 THEN DELETE FROM pawl_letter WHERE client = cl AND seq <= has_read; END IF;
    IF unread = 0 THEN
        DELETE FROM pawl_letter WHERE at_us
            < TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) - 60000000;
    END IF;
    IF GET_LOCK(CONCAT('pawl.wait.', cl), IF(unread > 1000, 0, span)) THEN
        DO RELEASE_LOCK(CONCAT('pawl.', cl));
        SIGNAL SQLSTATE 'PW006' SET MESSAGE_TEXT = 'the other connection of this client has ended';
    END IF;
END
//
-- Somebody waits, for the lock or to be upgraded, but the one named. Call it after expire.
DROP PROCEDURE IF EXISTS pawl_is_awaited
//
CREATE PROCEDURE pawl_is_awaited(n VARBINARY(512), now_us BIGINT, but VARBINARY(40), OUT yes BOOLEAN)
BEGIN
    SET yes = EXISTS (SELECT 1 FROM pawl_wait WHERE name = n AND until_us > now_us)
        OR EXISTS (SELECT 1 FROM pawl_hold WHERE name = n AND upgrade_us > 0 AND token <> but);
END
//

-- ---- Granting --------------------------------------------------------------------------------

-- The table of pawl_mode; permits are counted.
DROP PROCEDURE IF EXISTS pawl_fits
//
CREATE PROCEDURE pawl_fits(n VARBINARY(512), m INT, u INT, cap INT, OUT yes BOOLEAN)
BEGIN
    IF m = 3 THEN
        SET yes = u + IFNULL((SELECT SUM(units) FROM pawl_hold WHERE name = n), 0) <= cap;
    ELSEIF m = 1 THEN
        SET yes = NOT EXISTS (SELECT 1 FROM pawl_hold WHERE name = n AND mode NOT IN (1, 2));
    ELSEIF m = 2 THEN
        SET yes = NOT EXISTS (SELECT 1 FROM pawl_hold WHERE name = n AND mode <> 1);
    ELSE
        SET yes = NOT EXISTS (SELECT 1 FROM pawl_hold WHERE name = n);
    END IF;
END
//
-- The next fence of the name: larger than every one before, whatever was forgotten.
DROP PROCEDURE IF EXISTS pawl_draw
//
CREATE PROCEDURE pawl_draw(n VARBINARY(512), now_us BIGINT, cap INT, OUT f BIGINT)
BEGIN
    UPDATE pawl_name SET fence = LAST_INSERT_ID(GREATEST(fence + 1, now_us)), capacity = cap,
        keep_us = IF(keep_us < now_us + 600000000, now_us + 1200000000, keep_us) WHERE name = n;
    SET f = LAST_INSERT_ID();
    IF f > 9007199254740992 THEN
        SIGNAL SQLSTATE 'PW014' SET MESSAGE_TEXT = 'no fence is left for this name';
    END IF;
END
//
-- The lowest that are free.
DROP PROCEDURE IF EXISTS pawl_take_slots
//
CREATE PROCEDURE pawl_take_slots(n VARBINARY(512), tok VARBINARY(40), u INT, cap INT)
BEGIN
    DECLARE s INT DEFAULT 0;
    DECLARE taken INT DEFAULT 0;
    WHILE taken < u AND s < cap DO
        IF NOT EXISTS (SELECT 1 FROM pawl_slot WHERE name = n AND slot = s) THEN
            INSERT INTO pawl_slot VALUES (n, s, tok);
            SET taken = taken + 1;
        END IF;
        SET s = s + 1;
    END WHILE;
END
//
-- A lease that begins, of a name that it fits beside. cap: of a semaphore, else 0.
DROP PROCEDURE IF EXISTS pawl_grant
//
CREATE PROCEDURE pawl_grant(n VARBINARY(512), now_us BIGINT, tok VARBINARY(40), cl VARBINARY(32),
    ow VARBINARY(255), until_us BIGINT, ttl BIGINT, m INT, u INT, cap INT, OUT f BIGINT)
BEGIN
    CALL pawl_draw(n, now_us, cap, f);
    INSERT INTO pawl_hold VALUES (n, tok, m, f, until_us, ttl, 0, 0, u, cl, ow, 0);
    IF u > 0 THEN CALL pawl_take_slots(n, tok, u, cap); END IF;
END
//
-- The upgrader comes first and lets nobody pass; then, in order of arrival, all who fit. A hand-off
-- does not extend: the lease ends when the place would have. Who fits and is away is passed over and
-- keeps its place; those whom one request cannot count lose theirs, or they would hide all others.
DROP PROCEDURE IF EXISTS pawl_serve
//
CREATE PROCEDURE pawl_serve(n VARBINARY(512), now_us BIGINT)
serving: BEGIN
    DECLARE upgrader VARBINARY(40);
    DECLARE cl VARBINARY(32);
    DECLARE f BIGINT;
    DECLARE held, strict, unshared, used INT;
    DECLARE yes BOOLEAN;
    SELECT COUNT(*), IFNULL(SUM(mode NOT IN (1, 2)), 0), IFNULL(SUM(mode <> 1), 0),
        IFNULL(SUM(units), 0), MAX(IF(upgrade_us > 0, token, NULL))
        INTO held, strict, unshared, used, upgrader FROM pawl_hold WHERE name = n;
    IF upgrader IS NOT NULL THEN
        IF held > 1 THEN LEAVE serving; END IF;
        SELECT client INTO cl FROM pawl_hold WHERE name = n AND token = upgrader;
        CALL pawl_draw(n, now_us, 0, f);
        UPDATE pawl_hold SET mode = 0, upgrade_us = 0, fence = f WHERE name = n AND token = upgrader;
        CALL pawl_is_awaited(n, now_us, upgrader, yes);
        CALL pawl_tell(cl, 'g', f, yes, upgrader);
        LEAVE serving;
    END IF;
    CALL pawl_serve_queue(n, now_us, held, strict, unshared, used);
END
//
-- The second half of it, which needs to know who holds: how many, how many in no mode of readers, how many
-- not in mode shared, and how many permits.
DROP PROCEDURE IF EXISTS pawl_serve_queue
//
CREATE PROCEDURE pawl_serve_queue(n VARBINARY(512), now_us BIGINT, held INT, strict INT, unshared INT,
    used INT)
BEGIN
    DECLARE tok VARBINARY(40);
    DECLARE cl VARBINARY(32);
    DECLARE ow VARBINARY(255);
    DECLARE f, ends, ttl BIGINT;
    DECLARE place BIGINT DEFAULT -1;
    DECLARE m, u, cap, away, at INT DEFAULT 0;
    DECLARE yes, is_awaited BOOLEAN DEFAULT FALSE;
    DECLARE granted MEDIUMBLOB DEFAULT '';
    one: LOOP
        SET tok = NULL;
        SELECT seq, token, mode, until_us, ttl_us, units, client, owner
            INTO place, tok, m, ends, ttl, u, cl, ow
            FROM pawl_wait WHERE name = n AND seq > place ORDER BY seq LIMIT 1;
        IF tok IS NULL THEN LEAVE one; END IF;
        IF ends <= now_us THEN
            DELETE FROM pawl_wait WHERE name = n AND seq = place;
            ITERATE one;
        END IF;
        IF m = 3 AND cap = 0 THEN SET cap = (SELECT capacity FROM pawl_name WHERE name = n); END IF;
        SET yes = CASE m WHEN 3 THEN used + u <= cap WHEN 1 THEN strict = 0 WHEN 2 THEN unshared = 0
            ELSE held = 0 END;
        IF NOT yes THEN
            SET is_awaited = TRUE;
            LEAVE one;
        END IF;
        IF cl <> '' AND IS_USED_LOCK(CONCAT('pawl.', cl)) IS NULL THEN
            SET away = away + 1, is_awaited = TRUE;
            IF away > 64 THEN DELETE FROM pawl_wait WHERE name = n AND seq = place; END IF;
            ITERATE one;
        END IF;
        DELETE FROM pawl_wait WHERE name = n AND seq = place;
        CALL pawl_grant(n, now_us, tok, cl, ow, ends, ttl, m, u, cap, f);
        SET held = held + 1, used = used + u, strict = strict + (m NOT IN (1, 2)),
            unshared = unshared + (m <> 1);
        SET granted = CONCAT(granted, RPAD(cl, 32, ' '), IF(u > 0, 'p', 'g'), LPAD(f, 20, '0'),
            RPAD(tok, 40, '-'));
    END LOOP;
    SET at = 1; -- all of them now, because only now it is known whether somebody still waits
    WHILE at < LENGTH(granted) DO
        CALL pawl_tell(RTRIM(SUBSTRING(granted, at, 32)), SUBSTRING(granted, at + 32, 1),
            SUBSTRING(granted, at + 33, 20), is_awaited, SUBSTRING(granted, at + 53, 40));
        SET at = at + 93;
    END WHILE;
END
//
-- What has run out ends, and whoever comes next gets it.
DROP PROCEDURE IF EXISTS pawl_expire
//
CREATE PROCEDURE pawl_expire(n VARBINARY(512), now_us BIGINT)
BEGIN
    DELETE FROM pawl_slot WHERE name = n AND token IN
        (SELECT token FROM pawl_hold WHERE name = n AND until_us <= now_us AND units > 0);
    DELETE FROM pawl_hold WHERE name = n AND until_us <= now_us;
    UPDATE pawl_hold SET upgrade_us = 0 WHERE name = n AND upgrade_us > 0 AND upgrade_us <= now_us;
    CALL pawl_serve(n, now_us);
END
//
-- How things stand, once what has run out has ended, whoever asks: how many hold, and when the first lease
-- ends; fence, mode and units of the one that is named, NULL if it does not hold; whether somebody else
-- waits, for the lock or to be upgraded. cl: the client of the one that is named, if that wants the lock, so
-- is not away; else NULL.
DROP PROCEDURE IF EXISTS pawl_look
//
CREATE PROCEDURE pawl_look(n VARBINARY(512), now_us BIGINT, tok VARBINARY(40), cl VARBINARY(32),
    OUT held INT, OUT ends BIGINT, OUT f BIGINT, OUT m INT, OUT u INT, OUT is_awaited BOOLEAN)
BEGIN
    DECLARE turn, first BIGINT;
    DECLARE others, looks INT DEFAULT 0;
    DECLARE holder VARBINARY(40);
    looking: LOOP
        SET held = 0, holder = NULL, ends = NULL, turn = NULL, first = NULL, looks = looks + 1;
        SET f = NULL, m = NULL, u = NULL;
        SELECT 1, token, until_us, fence, mode, units INTO held, holder, ends, f, m, u
            FROM pawl_hold WHERE name = n LIMIT 1;
        IF m > 0 THEN -- there may be more
            SELECT COUNT(*), MIN(until_us), MIN(NULLIF(upgrade_us, 0)),
                SUM(upgrade_us > 0 AND token <> tok), MAX(IF(token = tok, fence, NULL)),
                MAX(IF(token = tok, mode, NULL)), MAX(IF(token = tok, units, NULL))
                INTO held, ends, turn, others, f, m, u FROM pawl_hold WHERE name = n;
        ELSEIF holder <> tok THEN
            SET f = NULL, m = NULL, u = NULL;
        END IF;
        SELECT until_us INTO first FROM pawl_wait WHERE name = n ORDER BY seq LIMIT 1;
        IF looks = 2 OR LEAST(IFNULL(ends, now_us + 1), IFNULL(turn, now_us + 1),
            IFNULL(first, now_us + 1)) > now_us THEN LEAVE looking; END IF;
        IF cl IS NOT NULL THEN UPDATE pawl_wait SET client = cl WHERE name = n AND token = tok; END IF;
        CALL pawl_expire(n, now_us);
    END LOOP;
    SET is_awaited = IFNULL(others, 0) > 0 OR IFNULL(first, 0) > now_us;
    IF NOT is_awaited AND first IS NOT NULL THEN -- the first is over, and cannot be taken away yet
        SET is_awaited = EXISTS (SELECT 1 FROM pawl_wait WHERE name = n AND until_us > now_us);
    END IF;
END
//
-- The first waits: those beside whom it does not fit hear of it. The others learn it when they renew.
DROP PROCEDURE IF EXISTS pawl_ask_to_yield
//
CREATE PROCEDURE pawl_ask_to_yield(n VARBINARY(512), m INT, but VARBINARY(40))
BEGIN
    DECLARE cl VARBINARY(32);
    DECLARE tok VARBINARY(40);
    DECLARE f BIGINT;
    DECLARE last VARBINARY(40) DEFAULT '';
    DECLARE told INT DEFAULT 0;
    one: LOOP
        SET tok = NULL;
        SELECT token, client, fence INTO tok, cl, f FROM pawl_hold
            WHERE name = n AND token > last AND token <> but
                AND NOT (m IN (1, 2) AND mode IN (1, 2) AND m + mode < 4) ORDER BY token LIMIT 1;
        IF tok IS NULL OR told = 100 THEN LEAVE one; END IF;
        CALL pawl_tell(cl, 'y', f, 0, tok);
        SET told = told + 1, last = tok;
    END LOOP;
END
//
-- Names that nobody uses any more, some with each new one. It waits for nobody.
DROP PROCEDURE IF EXISTS pawl_sweep
//
CREATE PROCEDURE pawl_sweep(now_us BIGINT)
BEGIN
    DECLARE old VARBINARY(512);
    DECLARE f BIGINT;
    DECLARE swept INT DEFAULT 0;
    one: LOOP
        SET old = NULL;
        SELECT name, fence INTO old, f FROM pawl_name WHERE keep_us > 0 AND keep_us <= now_us
            ORDER BY keep_us LIMIT 1 FOR UPDATE SKIP LOCKED;
        IF old IS NULL OR swept = 3 THEN LEAVE one; END IF;
        IF f >= now_us OR EXISTS (SELECT 1 FROM pawl_hold WHERE name = old AND until_us > now_us)
            OR EXISTS (SELECT 1 FROM pawl_wait WHERE name = old AND until_us > now_us) THEN
            UPDATE pawl_name SET keep_us = now_us + 1200000000 WHERE name = old;
        ELSE
            DELETE FROM pawl_hold WHERE name = old;
            DELETE FROM pawl_slot WHERE name = old;
            DELETE FROM pawl_wait WHERE name = old;
            DELETE FROM pawl_broken WHERE name = old;
            DELETE FROM pawl_name WHERE name = old;
        END IF;
        SET swept = swept + 1;
    END LOOP;
END
//

-- ---- Reports: they change nothing ---------------------------------------------------------------

-- By name; of each first a row of kind 0 (the fence, and in units the capacity), then its holders by
-- their fences (1), then its waiters as they came (2). At most 1000 of each; total is how many there
-- are. too: the name `past` belongs to it, too; last: names before it only, if it is not ''.
DROP PROCEDURE IF EXISTS pawl_report
//
CREATE PROCEDURE pawl_report(past VARBINARY(512), too BOOLEAN, last VARBINARY(512), most INT,
    is_list BOOLEAN, tok VARBINARY(40)) READS SQL DATA
BEGIN
    DECLARE t BIGINT DEFAULT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6));
    WITH n AS (
        SELECT past AS name FROM DUAL WHERE NOT is_list
        UNION
        SELECT u.name FROM (
            (SELECT DISTINCT h.name FROM pawl_hold h WHERE is_list AND h.name >= past
                AND (too OR h.name > past) AND (last = '' OR h.name < last) AND h.until_us > t
                ORDER BY h.name LIMIT most)
            UNION
            (SELECT DISTINCT w.name FROM pawl_wait w WHERE is_list AND w.name >= past
                AND (too OR w.name > past) AND (last = '' OR w.name < last) AND w.until_us > t
                ORDER BY w.name LIMIT most)
            ORDER BY name LIMIT most) u),
    r AS (
        SELECT 0 AS kind, n.name, x'' AS owner, 0 AS left_ms, 0 AS age_ms, IFNULL(x.fence, 0) AS fence,
            0 AS mode, IFNULL(x.capacity, 0) AS units, 'f' AS mine, 0 AS total, 0 AS place
        FROM n LEFT JOIN pawl_name x ON x.name = n.name
        UNION ALL
        SELECT 1, h.name, h.owner, (h.until_us - t) DIV 1000, 0, h.fence, h.mode, h.units,
            IF(h.token = tok, 't', 'f'), COUNT(*) OVER (PARTITION BY h.name),
            ROW_NUMBER() OVER (PARTITION BY h.name ORDER BY h.fence DESC)
        FROM n JOIN pawl_hold h ON h.name = n.name WHERE h.until_us > t
        UNION ALL
        SELECT 2, w.name, w.owner, (w.until_us - t) DIV 1000, (t - w.since_us) DIV 1000, w.seq, w.mode,
            w.units, 'f', COUNT(*) OVER (PARTITION BY w.name),
            ROW_NUMBER() OVER (PARTITION BY w.name ORDER BY w.seq)
        FROM n JOIN pawl_wait w ON w.name = n.name WHERE w.until_us > t),
    b AS (
        SELECT x.name, x.owner, x.at_us, x.fence,
            ROW_NUMBER() OVER (PARTITION BY x.name ORDER BY x.at_us DESC, x.fence DESC) AS place
        FROM n JOIN pawl_broken x ON x.name = n.name WHERE x.until_us > t)
    SELECT r.kind, LOWER(HEX(r.name)), LOWER(HEX(r.owner)), r.left_ms, r.age_ms, r.fence, r.mode,
        r.units, r.mine, r.total, LOWER(HEX(b.owner)), (t - b.at_us) DIV 1000, b.fence
    FROM r LEFT JOIN b ON r.kind = 0 AND b.name = r.name AND b.place = 1
    WHERE r.place <= 1000 ORDER BY r.name, r.kind, r.fence;
END
//

-- ---- Requests: each is one call, and one transaction -----------------------------------------

DROP PROCEDURE IF EXISTS pawl_say_held
//
CREATE PROCEDURE pawl_say_held(n VARBINARY(512), now_us BIGINT, tok VARBINARY(40), word VARBINARY(16),
    OUT reply BLOB)
BEGIN
    DECLARE f BIGINT;
    DECLARE u INT;
    DECLARE yes BOOLEAN;
    DECLARE slots BLOB DEFAULT '-';
    SELECT fence, units INTO f, u FROM pawl_hold WHERE name = n AND token = tok;
    CALL pawl_is_awaited(n, now_us, tok, yes);
    IF u > 0 THEN
        SET slots = (SELECT GROUP_CONCAT(slot ORDER BY slot) FROM pawl_slot
                     WHERE name = n AND token = tok);
    END IF;
    SET reply = CONCAT(word, ' ', f, ' ', yes, ' ', slots);
END
//
-- Until the first lease ends, rounded up: who sleeps for so long finds it expired.
DROP PROCEDURE IF EXISTS pawl_holder_ms
//
CREATE PROCEDURE pawl_holder_ms(n VARBINARY(512), now_us BIGINT, OUT ms BIGINT)
BEGIN
    SET ms = IFNULL((SELECT (MIN(until_us) - now_us + 999) DIV 1000 FROM pawl_hold WHERE name = n), 0);
END
//
DROP PROCEDURE IF EXISTS pawl_say_busy
//
CREATE PROCEDURE pawl_say_busy(n VARBINARY(512), now_us BIGINT, OUT reply BLOB)
BEGIN
    DECLARE ms BIGINT;
    CALL pawl_holder_ms(n, now_us, ms);
    SET reply = CONCAT('busy ', ms, ' ', IFNULL((SELECT LOWER(HEX(owner)) FROM pawl_hold
        WHERE name = n ORDER BY fence DESC LIMIT 1), ''));
END
//
DROP PROCEDURE IF EXISTS pawl_say_not_owner
//
CREATE PROCEDURE pawl_say_not_owner(n VARBINARY(512), now_us BIGINT, tok VARBINARY(40), OUT reply BLOB)
BEGIN
    SET reply = CONCAT('not_owner ', IFNULL((SELECT LOWER(HEX(owner)) FROM pawl_broken
        WHERE name = n AND token = tok AND until_us > now_us LIMIT 1), ''));
END
//
-- Somebody waits, or holds beside whom it does not fit. It keeps its place, or gets one, or none; and if
-- all who stand before it are away it is served now.
DROP PROCEDURE IF EXISTS pawl_queue_up
//
CREATE PROCEDURE pawl_queue_up(n VARBINARY(512), now_us BIGINT, tok VARBINARY(40), cl VARBINARY(32),
    ow VARBINARY(255), ttl BIGINT, m INT, u INT, cap INT, queue BOOLEAN, is_awaited BOOLEAN,
    held INT, ends BIGINT, OUT reply BLOB)
queueing: BEGIN
    DECLARE place, till, others BIGINT;
    DECLARE is_new BOOLEAN;
    DECLARE yes BOOLEAN DEFAULT held = 0;
    IF m <> 0 THEN CALL pawl_fits(n, m, u, cap, yes); END IF;
    SELECT seq, until_us INTO place, till FROM pawl_wait WHERE name = n AND token = tok;
    IF till <= now_us THEN
        DELETE FROM pawl_wait WHERE name = n AND seq = place;
        SET place = NULL;
    END IF;
    SET is_new = place IS NULL;
    IF NOT is_new THEN
        UPDATE pawl_wait SET until_us = now_us + ttl DIV 3 * 2, ttl_us = ttl, client = cl, owner = ow
            WHERE name = n AND seq = place;
    ELSEIF queue OR yes THEN
        SELECT IFNULL(SUM(until_us > now_us), 0), IFNULL(MAX(seq), 0) + 1 INTO others, place
            FROM pawl_wait WHERE name = n;
        INSERT INTO pawl_wait VALUES
            (n, place, tok, m, now_us + ttl DIV 3 * 2, ttl, now_us, u, cl, ow);
    END IF;
    IF yes THEN
        CALL pawl_serve(n, now_us);
        IF EXISTS (SELECT 1 FROM pawl_hold WHERE name = n AND token = tok) THEN
            UPDATE pawl_hold SET until_us = now_us + ttl WHERE name = n AND token = tok;
            CALL pawl_say_held(n, now_us, tok, 'granted', reply);
            LEAVE queueing;
        END IF;
        SET ends = (SELECT MIN(until_us) FROM pawl_hold WHERE name = n);
    END IF;
    IF queue THEN
        IF is_new AND NOT is_awaited THEN CALL pawl_ask_to_yield(n, m, ''); END IF;
        IF yes OR NOT is_new THEN
            SET others = (SELECT COUNT(*) FROM pawl_wait WHERE name = n AND seq < place
                AND until_us > now_us);
        END IF;
        SET reply = CONCAT('queued ', others, ' ', IFNULL((ends - now_us + 999) DIV 1000, 0), ' ',
            (SELECT fence FROM pawl_name WHERE name = n));
        LEAVE queueing;
    END IF;
    CALL pawl_say_busy(n, now_us, reply);
    DELETE FROM pawl_wait WHERE name = n AND token = tok;
    IF NOT is_new THEN CALL pawl_serve(n, now_us); END IF;
END
//
-- acquire, but for its beginning and its end.
DROP PROCEDURE IF EXISTS pawl_take
//
CREATE PROCEDURE pawl_take(n VARBINARY(512), now_us BIGINT, is_new BOOLEAN, now_cap INT,
    tok VARBINARY(40), cl VARBINARY(32), ow VARBINARY(255), ttl BIGINT, m INT, u INT, cap INT,
    queue BOOLEAN, OUT reply BLOB)
taking: BEGIN
    DECLARE f, ends BIGINT;
    DECLARE is_awaited, yes BOOLEAN DEFAULT FALSE;
    DECLARE held, held_mode, held_units INT;
    CALL pawl_look(n, now_us, tok, cl, held, ends, f, held_mode, held_units, is_awaited);
    IF held > 0 OR is_awaited THEN
        -- A name is of one kind while anything of it lives.
        IF (m = 3) <> (now_cap <> 0) THEN
            SET reply = 'failed 35';
            LEAVE taking;
        ELSEIF m = 3 AND now_cap <> cap THEN
            SET reply = CONCAT('failed 36 ', now_cap, ' ', cap);
            LEAVE taking;
        END IF;
        IF held_mode IS NOT NULL THEN
            IF (held_mode = m OR held_mode = 0 OR held_mode = 2 AND m = 1) AND held_units >= u THEN
                UPDATE pawl_hold SET until_us = now_us + ttl, ttl_us = ttl, client = cl, owner = ow
                    WHERE name = n AND token = tok;
                CALL pawl_say_held(n, now_us, tok, 'granted', reply);
            ELSE
                SET reply = 'failed 38'; -- less than it asks for: only a change changes that
            END IF;
            LEAVE taking;
        END IF;
        IF m <> 0 AND NOT is_awaited THEN CALL pawl_fits(n, m, u, cap, yes); END IF;
        IF NOT yes THEN
            CALL pawl_queue_up(n, now_us, tok, cl, ow, ttl, m, u, cap, queue, is_awaited, held,
                ends, reply);
            LEAVE taking;
        END IF;
    END IF;
    CALL pawl_grant(n, now_us, tok, cl, ow, now_us + ttl, ttl, m, u, cap, f);
    IF is_new THEN CALL pawl_sweep(now_us); END IF;
    IF u > 0 THEN
        CALL pawl_say_held(n, now_us, tok, 'granted', reply);
    ELSE
        SET reply = CONCAT('granted ', f, ' 0 -'); -- whoever waits would have come first
    END IF;
END
//
-- The usual ways of acquire, in as few statements as they need: an exclusive lock that is free and not waited
-- for, or that one holds exclusively and nobody's time has run out, and who asks is new. NULL: it is not so, and
-- nothing was done.
DROP PROCEDURE IF EXISTS pawl_take_usual
//
CREATE PROCEDURE pawl_take_usual(n VARBINARY(512), now_us BIGINT, last BIGINT, tok VARBINARY(40),
    cl VARBINARY(32), ow VARBINARY(255), ttl BIGINT, queue BOOLEAN, OUT reply BLOB)
BEGIN
    DECLARE ends, held_fence, others, place, first, f BIGINT;
    DECLARE held_mode, mine INT;
    DECLARE holder VARBINARY(40);
    DECLARE hears VARBINARY(32);
    SELECT token, until_us, mode, fence, client INTO holder, ends, held_mode, held_fence, hears
        FROM pawl_hold WHERE name = n LIMIT 1;
    SELECT COUNT(*), IFNULL(MAX(seq), 0) + 1, MIN(until_us), SUM(token = tok)
        INTO others, place, first, mine FROM pawl_wait WHERE name = n;
    IF holder IS NULL THEN
        SET f = GREATEST(last + 1, now_us);
        IF others = 0 AND f <= 9007199254740992 THEN
            UPDATE pawl_name SET fence = f,
                keep_us = IF(keep_us < now_us + 600000000, now_us + 1200000000, keep_us) WHERE name = n;
            INSERT INTO pawl_hold VALUES (n, tok, 0, f, now_us + ttl, ttl, 0, 0, 0, cl, ow, 0);
            SET reply = CONCAT('granted ', f, ' 0 -');
        END IF;
    ELSEIF queue AND held_mode = 0 AND ends > now_us AND holder <> tok
        AND (others = 0 OR first > now_us AND mine = 0) THEN
        INSERT INTO pawl_wait VALUES
            (n, place, tok, 0, now_us + ttl DIV 3 * 2, ttl, now_us, 0, cl, ow);
        IF others = 0 THEN CALL pawl_tell(hears, 'y', held_fence, 0, holder); END IF;
        SET reply = CONCAT('queued ', others, ' ', (ends - now_us + 999) DIV 1000, ' ', last);
    END IF;
END
//
-- reply: granted FENCE WAITING SLOTS | queued BEFORE HOLDER_MS FENCE | busy HOLDER_MS OWNER | failed ERR
DROP PROCEDURE IF EXISTS pawl_acquire
//
CREATE PROCEDURE pawl_acquire(n VARBINARY(512), tok VARBINARY(40), cl VARBINARY(32), ow VARBINARY(255),
    ttl BIGINT, m INT, u INT, cap INT, queue BOOLEAN) MODIFIES SQL DATA
BEGIN
    DECLARE now_us, last BIGINT;
    DECLARE now_cap INT;
    DECLARE is_new BOOLEAN;
    DECLARE reply BLOB;
    DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;
    CALL pawl_enter(n, TRUE, now_us, is_new, last, now_cap);
    IF m = 0 AND now_cap = 0 AND NOT is_new THEN
        CALL pawl_take_usual(n, now_us, last, tok, cl, ow, ttl, queue, reply);
    END IF;
    IF reply IS NULL THEN
        CALL pawl_take(n, now_us, is_new, now_cap, tok, cl, ow, ttl, m, u, cap, queue, reply);
    END IF;
    COMMIT;
    IF @pawl_mail <> '' THEN CALL pawl_deliver(n, now_us); END IF;
    SELECT reply;
END
//
-- reply: confirmed FENCE WAITING SLOTS | not_owner WHO_BROKE_IT
DROP PROCEDURE IF EXISTS pawl_renew
//
CREATE PROCEDURE pawl_renew(n VARBINARY(512), tok VARBINARY(40), ttl BIGINT) MODIFIES SQL DATA
BEGIN
    DECLARE now_us, last, ends, f BIGINT;
    DECLARE cap, held, m, u INT;
    DECLARE is_new, is_awaited BOOLEAN;
    DECLARE reply BLOB;
    DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;
    CALL pawl_enter(n, FALSE, now_us, is_new, last, cap);
    IF last IS NOT NULL THEN
        CALL pawl_look(n, now_us, tok, NULL, held, ends, f, m, u, is_awaited);
    END IF;
    IF f IS NULL THEN
        CALL pawl_say_not_owner(n, now_us, tok, reply);
    ELSE
        UPDATE pawl_hold SET until_us = now_us + ttl, ttl_us = ttl WHERE name = n AND token = tok;
        IF u > 0 THEN
            CALL pawl_say_held(n, now_us, tok, 'confirmed', reply);
        ELSE
            SET reply = CONCAT('confirmed ', f, ' ', is_awaited, ' -');
        END IF;
    END IF;
    COMMIT;
    IF @pawl_mail <> '' THEN CALL pawl_deliver(n, now_us); END IF;
    SELECT reply;
END
//
-- release by who does not hold exclusively: by a reader, of permits, or by who waits. reply as release.
DROP PROCEDURE IF EXISTS pawl_let_go
//
CREATE PROCEDURE pawl_let_go(n VARBINARY(512), now_us BIGINT, tok VARBINARY(40), OUT reply BLOB)
BEGIN
    DECLARE ends, f BIGINT;
    DECLARE held, m, u INT;
    DECLARE is_awaited BOOLEAN;
    SET reply = 'not_owner';
    CALL pawl_look(n, now_us, tok, NULL, held, ends, f, m, u, is_awaited);
    IF f IS NOT NULL THEN
        DELETE FROM pawl_hold WHERE name = n AND token = tok;
        IF u > 0 THEN DELETE FROM pawl_slot WHERE name = n AND token = tok; END IF;
        SET reply = 'released';
    ELSEIF is_awaited THEN
        DELETE FROM pawl_wait WHERE name = n AND token = tok AND until_us > now_us;
        IF ROW_COUNT() > 0 THEN SET reply = 'left'; END IF;
    END IF;
    IF reply <> 'not_owner' AND is_awaited THEN CALL pawl_serve(n, now_us); END IF;
END
//
-- The usual hand-over: from who holds exclusively to the first of the queue, which wants it exclusively and
-- hears. The lease becomes that of the heir, who is told of it after the commit. f: its fence; NULL: it is not
-- so, and nothing was done. first: when the first place ends; NULL if nobody waits.
DROP PROCEDURE IF EXISTS pawl_hand_on
//
CREATE PROCEDURE pawl_hand_on(n VARBINARY(512), now_us BIGINT, last BIGINT, tok VARBINARY(40),
    OUT first BIGINT, OUT f BIGINT, OUT hears VARBINARY(32), OUT heir VARBINARY(40), OUT awaited BOOLEAN)
handing: BEGIN
    DECLARE place, ttl BIGINT;
    DECLARE m INT;
    DECLARE ow VARBINARY(255);
    DECLARE drawn BIGINT DEFAULT GREATEST(last + 1, now_us);
    SELECT seq, token, mode, until_us, ttl_us, client, owner INTO place, heir, m, first, ttl, hears, ow
        FROM pawl_wait WHERE name = n ORDER BY seq LIMIT 1;
    IF m <> 0 OR first <= now_us OR drawn > 9007199254740992 THEN LEAVE handing; END IF;
    IF m IS NULL OR hears <> '' AND IS_USED_LOCK(CONCAT('pawl.', hears)) IS NULL THEN
        LEAVE handing;
    END IF;
    UPDATE pawl_hold SET token = heir, fence = drawn, until_us = first, ttl_us = ttl, upgrade_us = 0,
        changed = 0, client = hears, owner = ow, published = 0
        WHERE name = n AND token = tok AND mode = 0 AND until_us > now_us;
    IF ROW_COUNT() > 0 THEN
        DELETE FROM pawl_wait WHERE name = n AND seq = place;
        UPDATE pawl_name SET fence = drawn,
            keep_us = IF(keep_us < now_us + 600000000, now_us + 1200000000, keep_us) WHERE name = n;
        SET f = drawn, awaited = EXISTS
            (SELECT 1 FROM pawl_wait WHERE name = n AND seq > place AND until_us > now_us);
    END IF;
END
//
-- reply: released | left | not_owner
DROP PROCEDURE IF EXISTS pawl_release
//
CREATE PROCEDURE pawl_release(n VARBINARY(512), tok VARBINARY(40)) MODIFIES SQL DATA
BEGIN
    DECLARE now_us, last, first, f BIGINT;
    DECLARE cap INT;
    DECLARE is_new, awaited BOOLEAN;
    DECLARE hears VARBINARY(32);
    DECLARE heir VARBINARY(40);
    DECLARE reply BLOB DEFAULT 'not_owner';
    DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;
    CALL pawl_enter(n, FALSE, now_us, is_new, last, cap);
    IF last IS NOT NULL THEN CALL pawl_hand_on(n, now_us, last, tok, first, f, hears, heir, awaited); END IF;
    IF f IS NOT NULL THEN
        SET reply = 'released';
    ELSEIF last IS NOT NULL THEN
        DELETE FROM pawl_hold WHERE name = n AND token = tok AND mode = 0 AND until_us > now_us;
        IF ROW_COUNT() = 0 THEN
            CALL pawl_let_go(n, now_us, tok, reply);
        ELSE -- it was alone, so nobody holds now
            SET reply = 'released';
            IF first IS NOT NULL THEN CALL pawl_serve_queue(n, now_us, 0, 0, 0, 0); END IF;
        END IF;
    END IF;
    COMMIT;
    IF f IS NOT NULL THEN CALL pawl_post(n, now_us, hears, 'g', f, awaited, heir); END IF;
    IF @pawl_mail <> '' THEN CALL pawl_deliver(n, now_us); END IF;
    SELECT reply;
END
//
-- reply: released | not_owner
DROP PROCEDURE IF EXISTS pawl_break
//
CREATE PROCEDURE pawl_break(n VARBINARY(512), f BIGINT, ow VARBINARY(255)) MODIFIES SQL DATA
BEGIN
    DECLARE now_us, last, ends, mine, old BIGINT;
    DECLARE cap, held, m, u INT;
    DECLARE is_new, is_awaited BOOLEAN;
    DECLARE tok VARBINARY(40);
    DECLARE cl VARBINARY(32);
    DECLARE reply BLOB DEFAULT 'not_owner';
    DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;
    CALL pawl_enter(n, FALSE, now_us, is_new, last, cap);
    IF last IS NOT NULL THEN
        CALL pawl_look(n, now_us, '', NULL, held, ends, mine, m, u, is_awaited);
        SELECT token, client, until_us INTO tok, cl, ends FROM pawl_hold WHERE name = n AND fence = f
            LIMIT 1;
    END IF;
    IF tok IS NOT NULL THEN
        SET reply = 'released';
        DELETE FROM pawl_hold WHERE name = n AND token = tok;
        DELETE FROM pawl_slot WHERE name = n AND token = tok;
        INSERT IGNORE INTO pawl_broken VALUES (n, tok, f, now_us, GREATEST(ends, now_us + 60000000), ow);
        DELETE FROM pawl_broken WHERE name = n AND until_us <= now_us;
        SET old = (SELECT fence FROM pawl_broken WHERE name = n ORDER BY at_us DESC, fence DESC
                   LIMIT 1 OFFSET 16);
        IF old IS NOT NULL THEN DELETE FROM pawl_broken WHERE name = n AND fence = old; END IF;
        CALL pawl_tell(cl, 'r', 0, 0, '');
        CALL pawl_serve(n, now_us);
    END IF;
    COMMIT;
    IF @pawl_mail <> '' THEN CALL pawl_deliver(n, now_us); END IF;
    SELECT reply;
END
//
-- change, but for its beginning and its end.
DROP PROCEDURE IF EXISTS pawl_convert
//
CREATE PROCEDURE pawl_convert(n VARBINARY(512), now_us BIGINT, tok VARBINARY(40), ttl BIGINT, m INT,
    number BIGINT, queue BOOLEAN, OUT reply BLOB)
converting: BEGIN
    DECLARE held INT;
    DECLARE f, ms BIGINT;
    DECLARE others, is_awaited BOOLEAN;
    SELECT mode, fence INTO held, f FROM pawl_hold WHERE name = n AND token = tok AND changed <= number;
    IF held IS NULL THEN
        CALL pawl_say_not_owner(n, now_us, tok, reply);
        LEAVE converting;
    END IF;
    UPDATE pawl_hold SET until_us = now_us + ttl, ttl_us = ttl WHERE name = n AND token = tok;
    IF held = m OR (held = 0 AND m IN (1, 2)) OR (held = 2 AND m = 1) THEN
        UPDATE pawl_hold SET mode = m, changed = number, upgrade_us = 0 WHERE name = n AND token = tok;
        CALL pawl_serve(n, now_us);
        CALL pawl_say_held(n, now_us, tok, 'granted', reply);
        LEAVE converting;
    ELSEIF held <> 2 OR m <> 0 THEN
        SET reply = 'failed 38';
        LEAVE converting;
    END IF;
    SET others = EXISTS (SELECT 1 FROM pawl_hold WHERE name = n AND token <> tok);
    IF NOT others THEN
        CALL pawl_draw(n, now_us, 0, f);
        UPDATE pawl_hold SET mode = 0, changed = number, upgrade_us = 0, fence = f
            WHERE name = n AND token = tok;
        CALL pawl_say_held(n, now_us, tok, 'granted', reply);
        LEAVE converting;
    END IF;
    CALL pawl_is_awaited(n, now_us, '', is_awaited);
    UPDATE pawl_hold SET changed = number, upgrade_us = IF(queue, now_us + ttl DIV 3 * 2, 0)
        WHERE name = n AND token = tok;
    IF NOT queue THEN
        CALL pawl_serve(n, now_us);
        CALL pawl_say_busy(n, now_us, reply);
        LEAVE converting;
    END IF;
    IF NOT is_awaited THEN CALL pawl_ask_to_yield(n, 0, tok); END IF;
    CALL pawl_holder_ms(n, now_us, ms);
    SET reply = CONCAT('queued 0 ', ms, ' ', f);
END
//
-- reply: as acquire, and as renew
DROP PROCEDURE IF EXISTS pawl_change
//
CREATE PROCEDURE pawl_change(n VARBINARY(512), tok VARBINARY(40), ttl BIGINT, m INT, number BIGINT,
    queue BOOLEAN) MODIFIES SQL DATA
BEGIN
    DECLARE now_us, last, ends, f BIGINT;
    DECLARE cap, held, held_mode, u INT;
    DECLARE is_new, is_awaited BOOLEAN;
    DECLARE reply BLOB;
    DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;
    CALL pawl_enter(n, FALSE, now_us, is_new, last, cap);
    IF last IS NULL THEN
        CALL pawl_say_not_owner(n, now_us, tok, reply);
    ELSE
        CALL pawl_look(n, now_us, tok, NULL, held, ends, f, held_mode, u, is_awaited);
        CALL pawl_convert(n, now_us, tok, ttl, m, number, queue, reply);
    END IF;
    COMMIT;
    IF @pawl_mail <> '' THEN CALL pawl_deliver(n, now_us); END IF;
    SELECT reply;
END
//

-- ---- A value beside a name -------------------------------------------------------------------
--
-- It stays when the name is forgotten, and what is over leaves with the next ones.

-- Some that are over, whatever their names. It waits for nobody: who works on one of them keeps it.
DROP PROCEDURE IF EXISTS pawl_sweep_values
//
CREATE PROCEDURE pawl_sweep_values(now_us BIGINT)
BEGIN
    DECLARE old VARBINARY(512);
    DECLARE cl VARBINARY(32);
    DECLARE swept INT DEFAULT 0;
    WHILE swept < 4 DO
        SET old = NULL;
        SELECT name INTO old FROM pawl_value WHERE until_us <= now_us ORDER BY until_us LIMIT 1
            FOR UPDATE SKIP LOCKED;
        IF old IS NOT NULL THEN DELETE FROM pawl_value WHERE name = old; END IF;
        SET old = NULL;
        SELECT name, client INTO old, cl FROM pawl_watch WHERE until_us <= now_us ORDER BY until_us
            LIMIT 1 FOR UPDATE SKIP LOCKED;
        IF old IS NOT NULL THEN DELETE FROM pawl_watch WHERE name = old AND client = cl; END IF;
        SET swept = swept + 1;
    END WHILE;
END
//
DROP PROCEDURE IF EXISTS pawl_tell_watchers
//
CREATE PROCEDURE pawl_tell_watchers(n VARBINARY(512), now_us BIGINT)
BEGIN
    DECLARE cl VARBINARY(32);
    DECLARE last VARBINARY(32) DEFAULT '';
    one: LOOP
        SET cl = NULL;
        SELECT client INTO cl FROM pawl_watch WHERE name = n AND client > last AND until_us > now_us
            ORDER BY client LIMIT 1;
        IF cl IS NULL THEN LEAVE one; END IF;
        CALL pawl_tell(cl, 'n', 0, 0, '');
        SET last = cl;
    END LOOP;
END
//
-- reply: confirmed FENCE 0 - | not_owner. A number that is not new came late, or again.
DROP PROCEDURE IF EXISTS pawl_publish
//
CREATE PROCEDURE pawl_publish(n VARBINARY(512), tok VARBINARY(40), b VARBINARY(4300), keep BIGINT,
    number BIGINT) MODIFIES SQL DATA
BEGIN
    DECLARE now_us, last, f, before_it BIGINT;
    DECLARE cap INT;
    DECLARE is_new BOOLEAN;
    DECLARE ow VARBINARY(255);
    DECLARE reply BLOB DEFAULT 'not_owner';
    DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;
    CALL pawl_enter(n, FALSE, now_us, is_new, last, cap);
    IF last IS NOT NULL THEN
        SELECT fence, owner, published INTO f, ow, before_it FROM pawl_hold
            WHERE name = n AND token = tok AND until_us > now_us;
    END IF;
    IF f IS NOT NULL THEN SET reply = CONCAT('confirmed ', f, ' 0 -'); END IF;
    IF number > before_it THEN
        UPDATE pawl_hold SET published = number WHERE name = n AND token = tok;
        INSERT INTO pawl_value VALUES (n, b, f, now_us, now_us + keep, ow)
            ON DUPLICATE KEY UPDATE bytes = b, fence = f, at_us = now_us, until_us = now_us + keep,
                owner = ow;
        CALL pawl_tell_watchers(n, now_us);
        CALL pawl_sweep_values(now_us);
    END IF;
    COMMIT;
    IF @pawl_mail <> '' THEN CALL pawl_deliver(n, now_us); END IF;
    SELECT reply;
END
//
-- reply: value FENCE AT_US NOW_US OWNER BYTES | failed ERR
-- FENCE 0: there is none. The last two in hex, - for no bytes. span_us 0: it does not watch.
DROP PROCEDURE IF EXISTS pawl_read
//
CREATE PROCEDURE pawl_read(n VARBINARY(512), cl VARBINARY(32), span_us BIGINT) MODIFIES SQL DATA
reading: BEGIN
    DECLARE now_us BIGINT DEFAULT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6));
    DECLARE last BIGINT;
    DECLARE cap INT;
    DECLARE is_new BOOLEAN;
    DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;
    IF span_us > 0 AND cl <> '' THEN
        CALL pawl_enter(n, TRUE, now_us, is_new, last, cap);
        IF (SELECT COUNT(*) FROM pawl_watch
            WHERE name = n AND client <> cl AND until_us > now_us) >= 1000 THEN
            ROLLBACK;
            SELECT 'failed 10' AS reply;
            LEAVE reading;
        END IF;
        INSERT INTO pawl_watch VALUES (n, cl, now_us + span_us)
            ON DUPLICATE KEY UPDATE until_us = now_us + span_us;
        CALL pawl_sweep_values(now_us);
        COMMIT;
    END IF;
    SELECT CONCAT('value ', IFNULL(v.fence, 0), ' ', IFNULL(v.at_us, 0), ' ', t.now_us, ' ',
        IFNULL(NULLIF(LOWER(HEX(v.owner)), ''), '-'), ' ',
        IFNULL(NULLIF(LOWER(HEX(v.bytes)), ''), '-')) AS reply
    FROM (SELECT now_us) t LEFT JOIN pawl_value v ON v.name = n AND v.until_us > t.now_us;
END
//

-- For a doctor: does all that a grant does, and waits for a commit; nothing of it stays.
DROP PROCEDURE IF EXISTS pawl_trial
//
CREATE PROCEDURE pawl_trial() MODIFIES SQL DATA
BEGIN
    DECLARE n VARBINARY(512) DEFAULT CONCAT('pawl doctor ', UUID());
    DECLARE now_us, last BIGINT;
    DECLARE cap INT;
    DECLARE is_new BOOLEAN;
    DECLARE reply BLOB;
    DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;
    CALL pawl_enter(n, TRUE, now_us, is_new, last, cap);
    CALL pawl_take(n, now_us, FALSE, cap, REPEAT('0', 40), '', 'pawl doctor', 1000000, 0, 0, 0, FALSE,
        reply);
    ROLLBACK;
    INSERT INTO pawl_watch VALUES (n, '', now_us);
    DELETE FROM pawl_watch WHERE name = n;
    SELECT reply;
END
//
-- The last one: who finds it finds all.
DROP PROCEDURE IF EXISTS pawl_format
//
CREATE PROCEDURE pawl_format()
BEGIN
    SELECT 'pawl format 2' AS reply;
END
//
DO RELEASE_LOCK('pawl schema')
//
DELIMITER ;
