-- SPDX-License-Identifier: MIT
--
-- The schema of pawl's locks in PostgreSQL, and everything that changes it. One transaction; it may
-- be run again at any time, also by two at once. `pawl schema postgres` prints it, for a
-- database whose locking users may not create. Then let them use it:
--
--     GRANT USAGE ON SCHEMA pawl TO app;
--     GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA pawl TO app;
--     GRANT USAGE ON ALL SEQUENCES IN SCHEMA pawl TO app;
--
-- Rules are those of include/pawl/store.h. All instants are microseconds since 1970 of
-- clock_timestamp(), which goes on within a transaction (now() stands still).
BEGIN;
SELECT pg_advisory_xact_lock(hashtextextended('pawl schema', 7061776));
DO $$
BEGIN -- who owns a schema need not be allowed to create others
    IF to_regnamespace('pawl') IS NULL THEN CREATE SCHEMA pawl; END IF;
END $$;

-- What is remembered of a name: also of a free one, for a while, so that its fences go on.
CREATE TABLE IF NOT EXISTS pawl.name (
    name bytea PRIMARY KEY,
    fence bigint NOT NULL,     -- the latest drawn
    capacity integer NOT NULL, -- of a semaphore; 0: it is a lock
    keep_us bigint NOT NULL    -- if nobody holds it and nobody waits, it may be removed then
) WITH (fillfactor = 50);
CREATE INDEX IF NOT EXISTS name_keep ON pawl.name (keep_us);

CREATE TABLE IF NOT EXISTS pawl.hold (
    name bytea NOT NULL,
    token text NOT NULL,
    mode smallint NOT NULL,     -- 0 exclusive, 1 shared, 2 update, 3 permit
    fence bigint NOT NULL,
    until_us bigint NOT NULL,   -- the end of the lease
    ttl_us bigint NOT NULL,
    upgrade_us bigint NOT NULL, -- until when it waits to be upgraded; 0: it does not
    change bigint NOT NULL,     -- the latest that was carried out
    units integer NOT NULL,
    slots smallint[],
    client text NOT NULL,       -- what concerns it is notified to the channel pawl_CLIENT; '': it cannot hear
    owner bytea NOT NULL,       -- its label, for people
    published bigint NOT NULL DEFAULT 0, -- the number of its latest publication
    PRIMARY KEY (name, token)
);
DO $$
BEGIN -- a schema may be from before publications had numbers
    PERFORM published FROM pawl.hold LIMIT 0;
EXCEPTION WHEN undefined_column THEN
    ALTER TABLE pawl.hold ADD COLUMN published bigint NOT NULL DEFAULT 0;
END $$;

CREATE TABLE IF NOT EXISTS pawl.wait (
    seq bigserial,              -- the order of arrival
    name bytea NOT NULL,
    token text NOT NULL,
    mode smallint NOT NULL,
    until_us bigint NOT NULL,   -- the end of the place
    ttl_us bigint NOT NULL,
    since_us bigint NOT NULL,
    units integer NOT NULL,
    client text NOT NULL,
    owner bytea NOT NULL,
    PRIMARY KEY (name, seq)
);
CREATE UNIQUE INDEX IF NOT EXISTS wait_token ON pawl.wait (name, token);
-- Their rows come and go. A page is cleared of dead rows when it is full; one that may be filled to a
-- half only is left before that, so these tables grew with each acquisition (earlier schemas had 50).
ALTER TABLE pawl.hold RESET (fillfactor);
ALTER TABLE pawl.wait RESET (fillfactor);

-- Who has broken a lease, for people: the newest of each name.
CREATE TABLE IF NOT EXISTS pawl.broken (
    name bytea NOT NULL,
    token text NOT NULL,
    fence bigint NOT NULL,
    at_us bigint NOT NULL,
    until_us bigint NOT NULL, -- the note is told until then
    owner bytea NOT NULL,     -- of who broke it
    PRIMARY KEY (name, fence)
);

-- A value beside a name, and who wants to hear of the next one.
CREATE TABLE IF NOT EXISTS pawl.value (
    name bytea PRIMARY KEY,
    bytes bytea NOT NULL,
    fence bigint NOT NULL,    -- of the lease under which it was published
    at_us bigint NOT NULL,
    until_us bigint NOT NULL, -- it is kept until then
    owner bytea NOT NULL      -- the label of who published it
);
CREATE INDEX IF NOT EXISTS value_until ON pawl.value (until_us);
CREATE TABLE IF NOT EXISTS pawl.watch (
    name bytea NOT NULL,
    client text NOT NULL,
    until_us bigint NOT NULL,
    PRIMARY KEY (name, client)
);
CREATE INDEX IF NOT EXISTS watch_until ON pawl.watch (until_us);

-- ---- Beginning and end of every request ------------------------------------------------------

-- Requests for one name come one after the other, from here to the end of the transaction. Each
-- statement behind this one sees what the ones before have committed, because begin_request
-- has made the transaction READ COMMITTED.
CREATE OR REPLACE FUNCTION pawl.enter(n bytea) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(encode(n, 'hex'), 7061776));
    RETURN floor(extract(epoch FROM clock_timestamp()) * 1000000)::bigint;
END $$;

-- ---- Pushes ----------------------------------------------------------------------------------

-- Who listens says so, and holds a lock of its session for as long.
CREATE OR REPLACE FUNCTION pawl.be_there(client text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_lock_shared(hashtextextended(client, 7061777));
    PERFORM set_config('pawl.client', client, false);
    -- The session is ours alone. To plan anew what is known costs more than to carry it out; and a plan
    -- that was made while a table was empty must do when it no longer is.
    PERFORM set_config('plan_cache_mode', 'force_generic_plan', false),
            set_config('enable_seqscan', 'off', false);
END $$;

-- It leaves: from now on nothing is handed to it.
CREATE OR REPLACE FUNCTION pawl.be_gone(client text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_unlock_shared(hashtextextended(client, 7061777));
    PERFORM set_config('pawl.client', '', false);
END $$;

-- The connection on which it would hear is gone. A session gets its own locks always, so it is
-- known by its name. Who cannot hear anyway is never away: it asks. The lock is given back at once, in the
-- same expression so that nothing comes in between: who asked about the same client meanwhile would find
-- it taken, believe that the client is there, and hand it a lock that nobody releases.
CREATE OR REPLACE FUNCTION pawl.is_away(client text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RETURN client <> '' AND client IS DISTINCT FROM current_setting('pawl.client', true)
        AND pg_try_advisory_lock(hashtextextended(client, 7061777))
        AND pg_advisory_unlock(hashtextextended(client, 7061777));
END $$;

-- It, and others below, is no function in SQL: those with more than an expression are parsed and planned
-- anew at each call.
CREATE OR REPLACE FUNCTION pawl.tell(client text, word text, n bytea) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF client <> '' THEN
        PERFORM pg_notify('pawl_' || client, word || ' ' || encode(n, 'hex'));
    END IF;
END $$;

CREATE OR REPLACE FUNCTION pawl.slots_text(slots smallint[]) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(array_to_string(slots, ','), '-')
$$;

-- Somebody waits, for the lock or to be upgraded, but the one named. Call it after expire.
CREATE OR REPLACE FUNCTION pawl.is_awaited(n bytea, now_us bigint, but text) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    RETURN EXISTS (SELECT FROM pawl.wait WHERE name = n AND until_us > now_us)
        OR EXISTS (SELECT FROM pawl.hold WHERE name = n AND upgrade_us > 0 AND token <> but);
END $$;

-- ---- Granting --------------------------------------------------------------------------------

-- The table of pawl_mode; permits are counted.
CREATE OR REPLACE FUNCTION pawl.fits(n bytea, m integer, u integer, cap integer) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    IF m = 3 THEN
        RETURN u + coalesce((SELECT sum(units) FROM pawl.hold WHERE name = n), 0) <= cap;
    ELSIF m = 1 THEN
        RETURN NOT EXISTS (SELECT FROM pawl.hold WHERE name = n AND mode NOT IN (1, 2));
    ELSIF m = 2 THEN
        RETURN NOT EXISTS (SELECT FROM pawl.hold WHERE name = n AND mode <> 1);
    END IF;
    RETURN NOT EXISTS (SELECT FROM pawl.hold WHERE name = n);
END $$;

-- The next fence of the name: larger than every one before, whatever was forgotten.
CREATE OR REPLACE FUNCTION pawl.draw(n bytea, now_us bigint, cap integer) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    f bigint;
BEGIN
    INSERT INTO pawl.name AS x VALUES (n, now_us, cap, now_us + 1200000000)
    ON CONFLICT (name) DO UPDATE SET
        fence = greatest(x.fence + 1, now_us), capacity = cap,
        keep_us = CASE WHEN x.keep_us < now_us + 600000000 THEN now_us + 1200000000 ELSE x.keep_us END
    RETURNING fence INTO f;
    IF f > 9007199254740992 THEN
        RAISE EXCEPTION 'no fence is left for this name' USING ERRCODE = 'PW014';
    END IF;
    RETURN f;
END $$;

-- The lowest that are free.
CREATE OR REPLACE FUNCTION pawl.free_slots(n bytea, u integer, cap integer) RETURNS smallint[]
LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT array_agg(s ORDER BY s) FROM (
        SELECT s::smallint AS s FROM generate_series(0, cap - 1) s
        WHERE NOT EXISTS (SELECT FROM pawl.hold h WHERE h.name = n AND s = ANY (h.slots))
        ORDER BY s LIMIT u) free);
END $$;

-- The upgrader comes first and lets nobody pass; then, in order of arrival, all who fit. A hand-off
-- does not extend: the lease ends when the place would have. Who fits and is away is passed over and
-- keeps its place; those whom one request cannot count lose theirs, or they would hide all others.
CREATE OR REPLACE FUNCTION pawl.serve(n bytea, now_us bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    w pawl.wait;
    h pawl.hold;
    cap integer;
    f bigint;
    told text[] := '{}';
    away integer := 0;
    sl smallint[];
    t text;
BEGIN
    SELECT * INTO h FROM pawl.hold WHERE name = n AND upgrade_us > 0;
    IF FOUND THEN
        IF EXISTS (SELECT FROM pawl.hold WHERE name = n AND token <> h.token) THEN RETURN; END IF;
        f := pawl.draw(n, now_us, 0);
        UPDATE pawl.hold SET mode = 0, upgrade_us = 0, fence = f WHERE name = n AND token = h.token;
        PERFORM pawl.tell(h.client, format('g %s %s - %s', f,
            pawl.is_awaited(n, now_us, h.token)::integer, h.token), n);
        RETURN;
    END IF;
    SELECT capacity INTO cap FROM pawl.name WHERE name = n;
    FOR w IN SELECT * FROM pawl.wait WHERE name = n ORDER BY seq LOOP
        IF w.until_us <= now_us THEN
            DELETE FROM pawl.wait WHERE name = n AND seq = w.seq;
            CONTINUE;
        END IF;
        EXIT WHEN NOT pawl.fits(n, w.mode, w.units, cap);
        IF pawl.is_away(w.client) THEN
            away := away + 1;
            IF away > 64 THEN DELETE FROM pawl.wait WHERE name = n AND seq = w.seq; END IF;
            CONTINUE;
        END IF;
        sl := CASE WHEN w.units > 0 THEN pawl.free_slots(n, w.units, cap) END;
        f := pawl.draw(n, now_us, cap);
        DELETE FROM pawl.wait WHERE name = n AND seq = w.seq;
        INSERT INTO pawl.hold VALUES
            (n, w.token, w.mode, f, w.until_us, w.ttl_us, 0, 0, w.units, sl, w.client, w.owner);
        told := told || w.client || format('%s', f) || pawl.slots_text(sl) || w.token;
    END LOOP;
    FOR i IN 1 .. coalesce(array_length(told, 1), 0) / 4 LOOP
        t := format('g %s %s %s %s', told[4 * i - 2], pawl.is_awaited(n, now_us, '')::integer,
            told[4 * i - 1], told[4 * i]);
        PERFORM pawl.tell(told[4 * i - 3], t, n);
    END LOOP;
END $$;

-- What has run out ends, and whoever comes next gets it, whoever asks.
CREATE OR REPLACE FUNCTION pawl.expire(n bytea, now_us bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pawl.hold WHERE name = n AND
                   (until_us <= now_us OR (upgrade_us > 0 AND upgrade_us <= now_us)))
        AND NOT coalesce((SELECT until_us <= now_us FROM pawl.wait WHERE name = n
                          ORDER BY seq LIMIT 1), false) THEN
        RETURN;
    END IF;
    DELETE FROM pawl.hold WHERE name = n AND until_us <= now_us;
    UPDATE pawl.hold SET upgrade_us = 0 WHERE name = n AND upgrade_us > 0 AND upgrade_us <= now_us;
    PERFORM pawl.serve(n, now_us);
END $$;

-- The first waits: those beside whom it does not fit hear of it. The others learn it when they renew.
CREATE OR REPLACE FUNCTION pawl.ask_to_yield(n bytea, m integer, but text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pawl.tell(client, format('y %s - - %s', fence, token), n) FROM (
        SELECT client, fence, token FROM pawl.hold
        WHERE name = n AND token <> but AND NOT (m IN (1, 2) AND mode IN (1, 2) AND m + mode < 4)
        LIMIT 100) beside;
END $$;

-- Names that nobody uses any more, some with each new one.
CREATE OR REPLACE FUNCTION pawl.sweep(now_us bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    old bytea;
BEGIN
    FOR old IN SELECT name FROM pawl.name WHERE keep_us <= now_us ORDER BY keep_us LIMIT 3 LOOP
        CONTINUE WHEN NOT pg_try_advisory_xact_lock(hashtextextended(encode(old, 'hex'), 7061776));
        IF EXISTS (SELECT FROM pawl.hold WHERE name = old AND until_us > now_us)
            OR EXISTS (SELECT FROM pawl.wait WHERE name = old AND until_us > now_us)
            OR EXISTS (SELECT FROM pawl.name WHERE name = old AND fence >= now_us) THEN
            UPDATE pawl.name SET keep_us = now_us + 1200000000 WHERE name = old;
        ELSE
            DELETE FROM pawl.hold WHERE name = old;
            DELETE FROM pawl.wait WHERE name = old;
            DELETE FROM pawl.broken WHERE name = old;
            DELETE FROM pawl.name WHERE name = old;
        END IF;
    END LOOP;
END $$;

-- ---- Reports: they change nothing ---------------------------------------------------------------

-- By name; of each first a row of kind 0 (the fence, and in units the capacity), then its holders by
-- their fences (1), then its waiters as they came (2). At most 1000 of each; total is how many there are.
CREATE OR REPLACE FUNCTION pawl.report(names bytea[], tok text) RETURNS TABLE (kind integer,
    name text, owner text, left_ms bigint, age_ms bigint, fence bigint, mode integer, units integer,
    mine boolean, total bigint, broken_by text, broken_ms bigint, broken_fence bigint)
    LANGUAGE sql STABLE AS $$
    WITH t AS MATERIALIZED (
        SELECT floor(extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now_us),
    n AS MATERIALIZED (SELECT unnest(names) AS name),
    r AS (
        SELECT 0 AS kind, n.name, ''::bytea AS owner, 0::bigint AS left_ms, 0::bigint AS age_ms,
            coalesce(x.fence, 0) AS fence, 0 AS mode, coalesce(x.capacity, 0) AS units,
            false AS mine, 0::bigint AS total, 0::bigint AS place
        FROM n LEFT JOIN pawl.name x ON x.name = n.name
        UNION ALL
        SELECT 1, h.name, h.owner, (h.until_us - t.now_us) / 1000, 0, h.fence, h.mode, h.units,
            h.token = tok, count(*) OVER (PARTITION BY h.name),
            row_number() OVER (PARTITION BY h.name ORDER BY h.fence DESC)
        FROM n JOIN pawl.hold h ON h.name = n.name, t WHERE h.until_us > t.now_us
        UNION ALL
        SELECT 2, w.name, w.owner, (w.until_us - t.now_us) / 1000, (t.now_us - w.since_us) / 1000,
            w.seq, w.mode, w.units, false, count(*) OVER (PARTITION BY w.name),
            row_number() OVER (PARTITION BY w.name ORDER BY w.seq)
        FROM n JOIN pawl.wait w ON w.name = n.name, t WHERE w.until_us > t.now_us)
    SELECT r.kind, encode(r.name, 'hex'), encode(r.owner, 'hex'), r.left_ms, r.age_ms, r.fence, r.mode,
        r.units, r.mine, r.total, encode(b.owner, 'hex'), (t.now_us - b.at_us) / 1000, b.fence
    FROM t, r LEFT JOIN LATERAL (SELECT x.* FROM pawl.broken x, t WHERE r.kind = 0
        AND x.name = r.name AND x.until_us > t.now_us ORDER BY x.at_us DESC LIMIT 1) b ON true
    WHERE r.place <= 1000 ORDER BY r.name, r.kind, r.fence
$$;

-- Names that are held or waited for: those behind `past`, or it too; before `last` if it is not NULL.
CREATE OR REPLACE FUNCTION pawl.names(past bytea, too boolean, last bytea, most integer)
RETURNS bytea[] LANGUAGE sql STABLE AS $$
    WITH t AS MATERIALIZED (
        SELECT floor(extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now_us)
    SELECT coalesce(array_agg(u.name), '{}') FROM (
        (SELECT DISTINCT h.name FROM pawl.hold h, t WHERE h.name >= past AND (too OR h.name > past)
            AND (last IS NULL OR h.name < last) AND h.until_us > t.now_us ORDER BY h.name LIMIT most)
        UNION
        (SELECT DISTINCT w.name FROM pawl.wait w, t WHERE w.name >= past AND (too OR w.name > past)
            AND (last IS NULL OR w.name < last) AND w.until_us > t.now_us ORDER BY w.name LIMIT most)
        ORDER BY name LIMIT most) u
$$;

-- ---- Requests: each is one call, and one transaction -----------------------------------------
--
-- They end with COMMIT themselves. Else a client that stands still, or is cut off, between the call
-- and the Sync that follows it on the wire would keep others out of the name for as long.

-- Whatever the user, the database or a pooler has made the default: a request that reads what was
-- true at its beginning could grant twice, and a commit that does not wait could be forgotten.
CREATE OR REPLACE PROCEDURE pawl.make_safe() LANGUAGE plpgsql AS $$
BEGIN
    COMMIT;
    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    IF current_setting('synchronous_commit') = 'off' THEN
        SET LOCAL synchronous_commit = on;
    END IF;
END $$;

CREATE OR REPLACE FUNCTION pawl.say_held(h pawl.hold, now_us bigint, word text) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
    RETURN format('%s %s %s %s', word, h.fence, pawl.is_awaited(h.name, now_us, h.token)::integer,
                  pawl.slots_text(h.slots));
END $$;

-- Until the first lease ends, rounded up: who sleeps for so long finds it expired.
CREATE OR REPLACE FUNCTION pawl.holder_ms(n bytea, now_us bigint) RETURNS bigint
LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT coalesce((min(until_us) - now_us + 999) / 1000, 0)
            FROM pawl.hold WHERE name = n);
END $$;

CREATE OR REPLACE FUNCTION pawl.say_busy(n bytea, now_us bigint) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
    RETURN format('busy %s %s', pawl.holder_ms(n, now_us), coalesce((SELECT encode(owner, 'hex')
        FROM pawl.hold WHERE name = n ORDER BY fence DESC LIMIT 1), ''));
END $$;

CREATE OR REPLACE FUNCTION pawl.say_not_owner(n bytea, now_us bigint, tok text) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
    RETURN 'not_owner ' || coalesce((SELECT encode(owner, 'hex') FROM pawl.broken
        WHERE name = n AND token = tok AND until_us > now_us LIMIT 1), '');
END $$;

-- A name is of one kind while anything of it lives.
CREATE OR REPLACE FUNCTION pawl.misfit(n bytea, m integer, cap integer) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    now_cap integer;
BEGIN
    SELECT capacity INTO now_cap FROM pawl.name WHERE name = n;
    IF (m = 3) <> (now_cap <> 0) THEN RETURN 'failed 35'; END IF;
    IF m = 3 AND now_cap <> cap THEN RETURN format('failed 36 %s %s', now_cap, cap); END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION pawl.before(n bytea, now_us bigint, place bigint) RETURNS bigint
LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT count(*) FROM pawl.wait
            WHERE name = n AND seq < place AND until_us > now_us);
END $$;

-- Somebody waits, or holds beside whom it does not fit. It keeps its place, or gets one, or none; and if
-- all who stand before it are away it is served now.
CREATE OR REPLACE FUNCTION pawl.queue_up(n bytea, now_us bigint, tok text, cl text, ow bytea, ttl bigint,
    m integer, u integer, cap integer, queue boolean, is_awaited boolean) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    w pawl.wait;
    h pawl.hold;
    is_new boolean;
    fits boolean := pawl.fits(n, m, u, cap);
    no text;
BEGIN
    DELETE FROM pawl.wait WHERE name = n AND token = tok AND until_us <= now_us;
    UPDATE pawl.wait SET until_us = now_us + ttl / 3 * 2, ttl_us = ttl, client = cl, owner = ow
    WHERE name = n AND token = tok RETURNING * INTO w;
    is_new := NOT FOUND;
    IF is_new AND (queue OR fits) THEN
        INSERT INTO pawl.wait (name, token, mode, until_us, ttl_us, since_us, units, client, owner)
        VALUES (n, tok, m, now_us + ttl / 3 * 2, ttl, now_us, u, cl, ow) RETURNING * INTO w;
    END IF;
    IF fits THEN
        PERFORM pawl.serve(n, now_us);
        UPDATE pawl.hold SET until_us = now_us + ttl WHERE name = n AND token = tok
        RETURNING * INTO h;
        IF FOUND THEN RETURN pawl.say_held(h, now_us, 'granted'); END IF;
    END IF;
    IF queue THEN
        IF is_new AND NOT is_awaited THEN PERFORM pawl.ask_to_yield(n, m, ''); END IF;
        RETURN format('queued %s %s %s', pawl.before(n, now_us, w.seq), pawl.holder_ms(n, now_us),
                      coalesce((SELECT fence FROM pawl.name WHERE name = n), 0));
    END IF;
    no := pawl.say_busy(n, now_us);
    DELETE FROM pawl.wait WHERE name = n AND token = tok;
    IF FOUND AND NOT is_new THEN PERFORM pawl.serve(n, now_us); END IF;
    RETURN no;
END $$;

-- Nobody holds it and nobody waits, which is usual: the fence and the lease in one statement.
CREATE OR REPLACE FUNCTION pawl.take_free(n bytea, now_us bigint, tok text, cl text, ow bytea,
    ttl bigint, m integer, u integer, cap integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    f bigint;
    is_new boolean;
    sl smallint[];
BEGIN
    IF u > 0 THEN sl := pawl.free_slots(n, u, cap); END IF;
    WITH drawn AS (
        INSERT INTO pawl.name AS x VALUES (n, now_us, cap, now_us + 1200000000)
        ON CONFLICT (name) DO UPDATE SET fence = greatest(x.fence + 1, now_us), capacity = cap,
            keep_us = CASE WHEN x.keep_us < now_us + 600000000 THEN now_us + 1200000000
                           ELSE x.keep_us END
        RETURNING fence, xmax = 0 AS is_new),
    held AS (
        INSERT INTO pawl.hold
        SELECT n, tok, m, drawn.fence, now_us + ttl, ttl, 0, 0, u, sl, cl, ow FROM drawn)
    SELECT drawn.fence, drawn.is_new INTO f, is_new FROM drawn;
    IF f > 9007199254740992 THEN
        RAISE EXCEPTION 'no fence is left for this name' USING ERRCODE = 'PW014';
    END IF;
    IF is_new THEN PERFORM pawl.sweep(now_us); END IF;
    RETURN 'granted ' || f || ' 0 ' || pawl.slots_text(sl);
END $$;

-- acquire, but for the commit, after enter.
CREATE OR REPLACE FUNCTION pawl.take(n bytea, now_us bigint, tok text, cl text, ow bytea, ttl bigint,
    m integer, u integer, cap integer, queue boolean) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    h pawl.hold;
    is_held boolean;
    is_awaited boolean;
    no text;
BEGIN
    IF u > 0 AND NOT EXISTS (SELECT FROM pawl.hold WHERE name = n)
        AND NOT EXISTS (SELECT FROM pawl.wait WHERE name = n) THEN
        RETURN pawl.take_free(n, now_us, tok, cl, ow, ttl, m, u, cap);
    END IF;
    UPDATE pawl.wait SET client = cl WHERE name = n AND token = tok AND client <> cl; -- it is back
    PERFORM pawl.expire(n, now_us);
    is_held := EXISTS (SELECT FROM pawl.hold WHERE name = n);
    is_awaited := EXISTS (SELECT FROM pawl.wait WHERE name = n AND until_us > now_us)
        OR (is_held AND EXISTS (SELECT FROM pawl.hold WHERE name = n AND upgrade_us > 0));
    IF is_held OR is_awaited THEN
        no := pawl.misfit(n, m, cap);
        IF no IS NOT NULL THEN RETURN no; END IF;
        UPDATE pawl.hold SET until_us = now_us + ttl, ttl_us = ttl, client = cl, owner = ow
        WHERE name = n AND token = tok AND (mode = m OR mode = 0 OR mode = 2 AND m = 1)
            AND units >= u RETURNING * INTO h;
        IF FOUND THEN RETURN pawl.say_held(h, now_us, 'granted'); END IF;
        IF EXISTS (SELECT FROM pawl.hold WHERE name = n AND token = tok) THEN
            RETURN 'failed 38'; -- less than it asks for: only a change changes that
        END IF;
        IF is_awaited OR NOT pawl.fits(n, m, u, cap) THEN
            RETURN pawl.queue_up(n, now_us, tok, cl, ow, ttl, m, u, cap, queue, is_awaited);
        END IF;
    END IF;
    RETURN pawl.take_free(n, now_us, tok, cl, ow, ttl, m, u, cap);
END $$;

-- With enter: what pawl doctor tries.
CREATE OR REPLACE FUNCTION pawl.take(n bytea, tok text, cl text, ow bytea, ttl bigint, m integer,
    u integer, cap integer, queue boolean) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN pawl.take(n, pawl.enter(n), tok, cl, ow, ttl, m, u, cap, queue);
END $$;

-- The usual way to queue, in one statement: for an exclusive lock, with holders and a first waiter whose
-- times have not run out, and none of whom waits to be upgraded. NULL: it is not so, and nothing was done.
CREATE OR REPLACE FUNCTION pawl.take_place(n bytea, now_us bigint, tok text, cl text, ow bytea,
    ttl bigint, m integer, u integer, queue boolean) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    reply text;
    is_first boolean;
BEGIN
    WITH h AS MATERIALIZED (
        SELECT min(until_us) AS until_us, bool_or(token = tok OR upgrade_us > 0) AS is_special
        FROM pawl.hold WHERE name = n),
    head AS MATERIALIZED (SELECT until_us FROM pawl.wait WHERE name = n ORDER BY seq LIMIT 1),
    x AS MATERIALIZED (SELECT fence FROM pawl.name WHERE name = n AND capacity = 0),
    w AS (
        INSERT INTO pawl.wait (name, token, mode, until_us, ttl_us, since_us, units, client, owner)
        SELECT n, tok, m, now_us + ttl / 3 * 2, ttl, now_us, 0, cl, ow FROM h, x
        WHERE queue AND m = 0 AND u = 0 AND h.until_us > now_us AND NOT h.is_special
            AND coalesce((SELECT until_us > now_us FROM head), true)
        ON CONFLICT (name, token) DO UPDATE
        SET until_us = now_us + ttl / 3 * 2, ttl_us = ttl, client = cl, owner = ow
        WHERE wait.until_us > now_us
        RETURNING seq, xmax = 0 AS is_new)
    SELECT 'queued ' || (SELECT count(*) FROM pawl.wait b
            WHERE b.name = n AND b.seq < w.seq AND b.until_us > now_us)
            || ' ' || (h.until_us - now_us + 999) / 1000 || ' ' || x.fence,
        w.is_new AND NOT EXISTS (SELECT FROM head)
    INTO reply, is_first FROM w, h, x;
    IF is_first THEN PERFORM pawl.ask_to_yield(n, m, ''); END IF;
    RETURN reply;
END $$;

-- The procedures that are called most, acquire and release, do what is usual in few expressions and
-- one statement, because each of them is prepared anew in each transaction. The first expression is
-- make_safe's questions, enter's lock if it is free, and the time: in this order. NULL: not so.

-- reply: granted FENCE WAITING SLOTS | queued BEFORE HOLDER_MS FENCE | busy HOLDER_MS OWNER | failed ERR
CREATE OR REPLACE PROCEDURE pawl.acquire(n bytea, tok text, cl text, ow bytea, ttl bigint, m integer,
    u integer, cap integer, queue boolean, INOUT reply text) LANGUAGE plpgsql AS $$
DECLARE
    now_us bigint;
    more boolean;
BEGIN
    now_us := CASE WHEN current_setting('transaction_isolation') = 'read committed'
        AND current_setting('synchronous_commit') <> 'off'
        AND pg_try_advisory_xact_lock(hashtextextended(encode(n, 'hex'), 7061776))
        THEN floor(extract(epoch FROM clock_timestamp()) * 1000000)::bigint END;
    IF now_us IS NULL THEN
        IF current_setting('transaction_isolation') <> 'read committed'
            OR current_setting('synchronous_commit') = 'off' THEN CALL pawl.make_safe(); END IF;
        now_us := pawl.enter(n);
    END IF;
    -- Nobody holds it and nobody waits, which is usual: the fence and the lease in one statement.
    WITH drawn AS (
        INSERT INTO pawl.name AS x SELECT n, now_us, cap, now_us + 1200000000
        WHERE u = 0 AND NOT EXISTS (SELECT FROM pawl.hold WHERE name = n)
            AND NOT EXISTS (SELECT FROM pawl.wait WHERE name = n)
        ON CONFLICT (name) DO UPDATE SET fence = greatest(x.fence + 1, now_us), capacity = cap,
            keep_us = CASE WHEN x.keep_us < now_us + 600000000 THEN now_us + 1200000000
                           ELSE x.keep_us END
        RETURNING fence, xmax = 0 AS is_new),
    held AS (
        INSERT INTO pawl.hold
        SELECT n, tok, m, drawn.fence, now_us + ttl, ttl, 0, 0, 0, NULL, cl, ow FROM drawn)
    SELECT 'granted ' || drawn.fence || ' 0 -', drawn.is_new OR drawn.fence > 9007199254740992
    INTO reply, more FROM drawn;
    IF reply IS NULL THEN
        reply := pawl.take_place(n, now_us, tok, cl, ow, ttl, m, u, queue);
        IF reply IS NULL THEN
            reply := pawl.take(n, now_us, tok, cl, ow, ttl, m, u, cap, queue);
        END IF;
    ELSIF more THEN
        IF (SELECT fence FROM pawl.name WHERE name = n) > 9007199254740992 THEN
            RAISE EXCEPTION 'no fence is left for this name' USING ERRCODE = 'PW014';
        END IF;
        PERFORM pawl.sweep(now_us);
    END IF;
    COMMIT;
END $$;

-- reply: confirmed FENCE WAITING SLOTS | not_owner WHO_BROKE_IT
CREATE OR REPLACE PROCEDURE pawl.renew(n bytea, tok text, ttl bigint, INOUT reply text)
LANGUAGE plpgsql AS $$
DECLARE
    now_us bigint;
    h pawl.hold;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed'
        OR current_setting('synchronous_commit') = 'off' THEN CALL pawl.make_safe(); END IF;
    now_us := pawl.enter(n);
    PERFORM pawl.expire(n, now_us);
    UPDATE pawl.hold SET until_us = now_us + ttl, ttl_us = ttl
    WHERE name = n AND token = tok RETURNING * INTO h;
    reply := CASE WHEN FOUND THEN pawl.say_held(h, now_us, 'confirmed')
                  ELSE pawl.say_not_owner(n, now_us, tok) END;
    COMMIT;
END $$;

-- The usual hand-off, in one statement: nobody holds any more, and the first waiter wants an exclusive
-- lock, its place has not run out, and it is not away. False: it is not so, and nothing was done.
CREATE OR REPLACE FUNCTION pawl.hand_off(n bytea, now_us bigint) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    f bigint;
BEGIN
    WITH w AS (
        DELETE FROM pawl.wait
        WHERE name = n AND seq = (SELECT seq FROM pawl.wait WHERE name = n ORDER BY seq LIMIT 1)
            AND mode = 0 AND until_us > now_us
            AND NOT EXISTS (SELECT FROM pawl.hold WHERE name = n)
            AND NOT pawl.is_away(client)
        RETURNING *),
    drawn AS (
        INSERT INTO pawl.name AS x SELECT n, now_us, 0, now_us + 1200000000 FROM w
        ON CONFLICT (name) DO UPDATE SET fence = greatest(x.fence + 1, now_us), capacity = 0,
            keep_us = CASE WHEN x.keep_us < now_us + 600000000 THEN now_us + 1200000000
                           ELSE x.keep_us END
        RETURNING fence),
    held AS (
        INSERT INTO pawl.hold
        SELECT n, w.token, 0, drawn.fence, w.until_us, w.ttl_us, 0, 0, 0, NULL, w.client, w.owner
        FROM w, drawn),
    told AS (
        SELECT pg_notify('pawl_' || w.client, 'g ' || drawn.fence || ' ' || (EXISTS (
                SELECT FROM pawl.wait b WHERE b.name = n AND b.seq > w.seq AND b.until_us > now_us
            ))::integer || ' - ' || w.token || ' ' || encode(n, 'hex'))
        FROM w, drawn WHERE w.client <> '')
    SELECT drawn.fence INTO f FROM drawn LEFT JOIN told ON true;
    IF f > 9007199254740992 THEN
        RAISE EXCEPTION 'no fence is left for this name' USING ERRCODE = 'PW014';
    END IF;
    RETURN f IS NOT NULL;
END $$;

-- release, but for the commit, if there is more to do than to end the lease. done: that was done.
CREATE OR REPLACE FUNCTION pawl.give_back(n bytea, now_us bigint, tok text, done text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    reply text := coalesce(done, 'not_owner');
BEGIN
    IF done IS NOT NULL AND pawl.hand_off(n, now_us) THEN RETURN done; END IF;
    PERFORM pawl.expire(n, now_us);
    IF done IS NULL THEN
        DELETE FROM pawl.hold WHERE name = n AND token = tok;
        IF FOUND THEN
            reply := 'released'; -- it has just been granted
        ELSE
            DELETE FROM pawl.wait WHERE name = n AND token = tok AND until_us > now_us;
            IF FOUND THEN reply := 'left'; END IF;
        END IF;
    END IF;
    IF reply <> 'not_owner' AND (EXISTS (SELECT FROM pawl.wait WHERE name = n)
        OR EXISTS (SELECT FROM pawl.hold WHERE name = n AND upgrade_us > 0)) THEN
        PERFORM pawl.serve(n, now_us);
    END IF;
    RETURN reply;
END $$;

-- reply: released | left | not_owner
CREATE OR REPLACE PROCEDURE pawl.release(n bytea, tok text, INOUT reply text) LANGUAGE plpgsql AS $$
DECLARE
    now_us bigint;
    more boolean;
BEGIN
    now_us := CASE WHEN current_setting('transaction_isolation') = 'read committed'
        AND current_setting('synchronous_commit') <> 'off'
        AND pg_try_advisory_xact_lock(hashtextextended(encode(n, 'hex'), 7061776))
        THEN floor(extract(epoch FROM clock_timestamp()) * 1000000)::bigint END;
    IF now_us IS NULL THEN
        IF current_setting('transaction_isolation') <> 'read committed'
            OR current_setting('synchronous_commit') = 'off' THEN CALL pawl.make_safe(); END IF;
        now_us := pawl.enter(n);
    END IF;
    WITH gone AS (
        DELETE FROM pawl.hold WHERE name = n AND token = tok AND until_us > now_us RETURNING 1)
    SELECT 'released', EXISTS (SELECT FROM pawl.wait WHERE name = n)
        OR EXISTS (SELECT FROM pawl.hold WHERE name = n AND token <> tok)
    INTO reply, more FROM gone;
    IF more IS NOT FALSE THEN reply := pawl.give_back(n, now_us, tok, reply); END IF;
    COMMIT;
END $$;

-- reply: released | not_owner
CREATE OR REPLACE PROCEDURE pawl.break(n bytea, f bigint, ow bytea, INOUT reply text) LANGUAGE plpgsql AS $$
DECLARE
    now_us bigint;
    h pawl.hold;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed'
        OR current_setting('synchronous_commit') = 'off' THEN CALL pawl.make_safe(); END IF;
    now_us := pawl.enter(n);
    PERFORM pawl.expire(n, now_us);
    DELETE FROM pawl.hold WHERE name = n AND fence = f RETURNING * INTO h;
    reply := 'not_owner';
    IF FOUND THEN
        reply := 'released';
        INSERT INTO pawl.broken VALUES
            (n, h.token, f, now_us, greatest(h.until_us, now_us + 60000000), ow)
        ON CONFLICT DO NOTHING;
        DELETE FROM pawl.broken WHERE name = n AND (until_us <= now_us OR fence NOT IN
            (SELECT b.fence FROM pawl.broken b WHERE b.name = n ORDER BY b.at_us DESC LIMIT 16));
        PERFORM pawl.tell(h.client, 'r - - - -', n);
        PERFORM pawl.serve(n, now_us);
    END IF;
    COMMIT;
END $$;

-- change, but for the commit.
CREATE OR REPLACE FUNCTION pawl.convert(n bytea, tok text, ttl bigint, m integer, number bigint,
    queue boolean) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    now_us bigint := pawl.enter(n);
    h pawl.hold;
    no text;
    is_first boolean;
BEGIN
    PERFORM pawl.expire(n, now_us);
    UPDATE pawl.hold SET until_us = now_us + ttl, ttl_us = ttl
    WHERE name = n AND token = tok AND change <= number RETURNING * INTO h;
    IF NOT FOUND THEN RETURN pawl.say_not_owner(n, now_us, tok); END IF;
    IF h.mode = m OR (h.mode = 0 AND m IN (1, 2)) OR (h.mode = 2 AND m = 1) THEN
        UPDATE pawl.hold SET mode = m, change = number, upgrade_us = 0
        WHERE name = n AND token = tok RETURNING * INTO h;
        PERFORM pawl.serve(n, now_us);
        RETURN pawl.say_held(h, now_us, 'granted');
    ELSIF h.mode <> 2 OR m <> 0 THEN
        RETURN 'failed 38';
    END IF;
    IF NOT EXISTS (SELECT FROM pawl.hold WHERE name = n AND token <> tok) THEN
        UPDATE pawl.hold SET mode = 0, change = number, upgrade_us = 0,
            fence = pawl.draw(n, now_us, 0) WHERE name = n AND token = tok RETURNING * INTO h;
        RETURN pawl.say_held(h, now_us, 'granted');
    END IF;
    is_first := NOT pawl.is_awaited(n, now_us, '');
    UPDATE pawl.hold SET change = number,
        upgrade_us = CASE WHEN queue THEN now_us + ttl / 3 * 2 ELSE 0 END
    WHERE name = n AND token = tok;
    IF NOT queue THEN
        PERFORM pawl.serve(n, now_us);
        RETURN pawl.say_busy(n, now_us);
    END IF;
    IF is_first THEN PERFORM pawl.ask_to_yield(n, 0, tok); END IF;
    RETURN format('queued 0 %s %s', pawl.holder_ms(n, now_us), h.fence);
END $$;

-- reply: as acquire, and as renew
CREATE OR REPLACE PROCEDURE pawl.change(n bytea, tok text, ttl bigint, m integer, number bigint,
    queue boolean, INOUT reply text) LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed'
        OR current_setting('synchronous_commit') = 'off' THEN CALL pawl.make_safe(); END IF;
    reply := pawl.convert(n, tok, ttl, m, number, queue);
    COMMIT;
END $$;

-- ---- A value beside a name -------------------------------------------------------------------
--
-- It stays when the name is forgotten, and what is over leaves with the next ones.

-- Some that are over, whatever their names. It waits for nobody: who works on one of them keeps it.
CREATE OR REPLACE FUNCTION pawl.sweep_values(now_us bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM pawl.value WHERE name IN (SELECT name FROM pawl.value WHERE until_us <= now_us
        ORDER BY until_us LIMIT 4 FOR UPDATE SKIP LOCKED);
    DELETE FROM pawl.watch WHERE (name, client) IN (SELECT name, client FROM pawl.watch
        WHERE until_us <= now_us ORDER BY until_us LIMIT 4 FOR UPDATE SKIP LOCKED);
END $$;

-- One that knows no numbers.
DROP PROCEDURE IF EXISTS pawl.publish(bytea, text, bytea, bigint, text);

-- reply: confirmed FENCE 0 - | not_owner. A number that is not new came late, or again.
CREATE OR REPLACE PROCEDURE pawl.publish(n bytea, tok text, b bytea, keep bigint, number bigint,
    INOUT reply text)
LANGUAGE plpgsql AS $$
DECLARE
    now_us bigint;
    h pawl.hold;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed'
        OR current_setting('synchronous_commit') = 'off' THEN CALL pawl.make_safe(); END IF;
    now_us := pawl.enter(n);
    SELECT * INTO h FROM pawl.hold WHERE name = n AND token = tok AND until_us > now_us;
    reply := 'not_owner';
    IF FOUND THEN reply := format('confirmed %s 0 -', h.fence); END IF;
    IF FOUND AND number > h.published THEN
        UPDATE pawl.hold SET published = number WHERE name = n AND token = tok;
        INSERT INTO pawl.value VALUES (n, b, h.fence, now_us, now_us + keep, h.owner)
        ON CONFLICT (name) DO UPDATE SET
            bytes = b, fence = h.fence, at_us = now_us, until_us = now_us + keep, owner = h.owner;
        PERFORM pawl.tell(client, 'n - - - -', n) FROM pawl.watch
        WHERE name = n AND until_us > now_us;
        PERFORM pawl.sweep_values(now_us);
    END IF;
    COMMIT;
END $$;

-- True: the client hears of what is published until then. False: so many do already.
CREATE OR REPLACE FUNCTION pawl.watch_for(n bytea, cl text, span_us bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    now_us bigint := pawl.enter(n);
BEGIN
    IF (SELECT count(*) FROM pawl.watch
        WHERE name = n AND client <> cl AND until_us > now_us) >= 1000 THEN
        RETURN false;
    END IF;
    INSERT INTO pawl.watch VALUES (n, cl, now_us + span_us)
    ON CONFLICT (name, client) DO UPDATE SET until_us = now_us + span_us;
    PERFORM pawl.sweep_values(now_us);
    RETURN true;
END $$;

-- reply: value FENCE AT_US NOW_US OWNER BYTES | failed ERR
-- FENCE 0: there is none. The last two in hex, - for no bytes. span_us 0: it does not watch.
CREATE OR REPLACE PROCEDURE pawl.read(n bytea, cl text, span_us bigint, INOUT reply text)
LANGUAGE plpgsql AS $$
DECLARE
    v pawl.value;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed'
        OR current_setting('synchronous_commit') = 'off' THEN CALL pawl.make_safe(); END IF;
    IF span_us > 0 AND cl <> '' AND NOT pawl.watch_for(n, cl, span_us) THEN
        reply := 'failed 10';
        COMMIT;
        RETURN;
    END IF;
    SELECT * INTO v FROM pawl.value WHERE name = n
        AND until_us > floor(extract(epoch FROM clock_timestamp()) * 1000000)::bigint;
    reply := format('value %s %s %s %s %s', coalesce(v.fence, 0), coalesce(v.at_us, 0),
        floor(extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
        coalesce(nullif(encode(v.owner, 'hex'), ''), '-'),
        coalesce(nullif(encode(v.bytes, 'hex'), ''), '-'));
    COMMIT;
END $$;

COMMENT ON SCHEMA pawl IS 'pawl format 1';
COMMIT;
