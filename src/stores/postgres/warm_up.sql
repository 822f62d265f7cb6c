-- SPDX-License-Identifier: MIT
--
-- What a session that comes back does before it says so. A session's first request of a kind compiles the
-- procedures and plans their statements, which takes the server up to ten times as long as the request
-- itself. So what locks and semaphores ask for again and again is carried out once, for a name that no
-- lock can have, and nothing of it stays: a procedure's own COMMIT fails within a block that handles
-- errors, and what the procedure did is undone; what the functions did is there for the next step, and
-- the ROLLBACK undoes it. Nobody waits for it, because the name is this session's alone, and nobody is
-- told of it, because the client is ''.
DO $$
DECLARE
    n bytea := decode('00', 'hex') || pg_backend_pid()::text::bytea;
    now_us bigint := floor(extract(epoch FROM clock_timestamp()) * 1000000);
    step text;
BEGIN
    CALL pawl.make_safe();
    -- As in be_there: a plan that was made otherwise would be made again.
    PERFORM set_config('plan_cache_mode', 'force_generic_plan', true),
            set_config('enable_seqscan', 'off', true);
    BEGIN
        FOREACH step IN ARRAY ARRAY[
            'CALL pawl.acquire($1, ''a'', '''', '''', 60000000, 0, 0, 0, true, NULL)',
            'SELECT pawl.take($1, $2, ''a'', '''', '''', 60000000, 3, 1, 1, true)',
            'CALL pawl.renew($1, ''a'', 60000000, NULL)',
            'SELECT pawl.take($1, $2, ''b'', '''', '''', 60000000, 3, 1, 1, true)',
            'SELECT pawl.give_back($1, $2, ''a'', NULL)', -- to b
            'SELECT pawl.give_back($1, $2, ''b'', NULL)',
            'SELECT pawl.take($1, $2, ''a'', '''', '''', 60000000, 0, 0, 0, true)',
            'SELECT pawl.take_place($1, $2, ''b'', '''', '''', 60000000, 0, 0, true)',
            'CALL pawl.release($1, ''a'', NULL)']
        LOOP
            BEGIN
                EXECUTE step USING n, now_us;
            EXCEPTION WHEN invalid_transaction_termination THEN NULL;
            END;
        END LOOP;
        RAISE EXCEPTION 'undone' USING ERRCODE = 'PWTRY';
    EXCEPTION WHEN SQLSTATE 'PWTRY' THEN NULL;
    END;
    ROLLBACK;
END $$
