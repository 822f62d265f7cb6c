/* SPDX-License-Identifier: MIT */
/* What could let two hold, or keep all from holding: isolation, commits, standing still, poolers.
 */
#define _GNU_SOURCE
#include "rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SOON_NS INT64_C(5000000000)
#define LATE_NS (10 * SOON_NS) /* a bound for a test that is broken, not for a slow machine */

/* ---- A client that stands still -----------------------------------------------------------------
 */

/* The statement, and no Sync behind it: so does one that is stopped, or cut off, at that moment. */
static PGconn *call_without_sync(const char *schema, const char *name, const char *token)
{
    char sql[300];
    PGconn *conn = rig_connect();
    snprintf(sql, sizeof sql, "CALL %s.acquire('%s'::bytea,'%s','','',60000000,0,0,0,true,NULL)",
             schema, name, token);
    CHECK(PQenterPipelineMode(conn) == 1);
    CHECK(PQsendQueryParams(conn, sql, 0, NULL, NULL, NULL, NULL, 0) == 1);
    CHECK(PQsendFlushRequest(conn) == 1 && PQflush(conn) == 0);
    PGresult *result = PQgetResult(conn); /* so the server has carried it out */
    CHECK(PQresultStatus(result) == PGRES_TUPLES_OK);
    PQclear(result);
    return conn;
}

static void who_stands_still_behind_its_statement_holds_up_nobody(void **state)
{
    const char *schema = rig_schema(), *token = fresh_token();
    store_address address = rig_address(schema);
    (void)state;
    client *a = client_up(rig_loop(), &address, "a");
    PGconn *still = call_without_sync(schema, "x", token);
    int64_t start = host_now();
    rig_expect(a, ask_queue("x", fresh_token(), LONG_MS), PAWL_QUEUED);
    rig_expect(a, ask_release("x", token), PAWL_RELEASED);
    assert_true(host_now() - start < SOON_NS);
    PQfinish(still);
    client_close(a);
}

/* ---- A process that is killed --------------------------------------------------------------- */

/* Its lock ends with its ttl, and not before; a place of one that was killed holds up nobody. */
static void of_a_killed_process_the_lock_ends_with_its_ttl(void **state)
{
    const char *schema = rig_schema(), *held = fresh_token(), *dead = fresh_token();
    const char *next = fresh_token();
    store_address address = rig_address(schema);
    (void)state;
    pid_t holder = rig_start_process(&address, "holder", held);
    pid_t waiter = rig_start_process(&address, "waiter", dead);
    rig_kill_process(holder);
    rig_kill_process(waiter);
    rig_until("0", "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'pawl:%'");
    client *a = client_up(rig_loop(), &address, "a");
    const seen_reply *answer = rig_expect(a, ask_queue("x", next, LONG_MS), PAWL_QUEUED);
    assert_int_equal(answer->reply.position, 1);
    assert_true(answer->reply.holder_ms > 0);
    rig_expect(a, ask_acquire("x", fresh_token(), LONG_MS), PAWL_BUSY);
    rig_sql("UPDATE %s.hold SET until_us = until_us - ttl_us", schema); /* as time would do */
    uint64_t fence = strtoull(rig_sql("SELECT fence FROM %s.hold", schema), NULL, 10);
    answer = rig_expect(a, ask_queue("x", next, LONG_MS), PAWL_GRANTED);
    assert_true(answer->reply.fence > fence);
    client_close(a);
}

/* ---- Defaults of the user
 * ------------------------------------------------------------------------- */

/* A request that waits for another one, which grants meanwhile, must see that grant. */
static void see_what_was_granted_meanwhile(const char *schema)
{
    store_address address = rig_address(schema);
    client *a = client_up(rig_loop(), &address, "a"), *b = client_up(rig_loop(), &address, "b");
    for (int i = 0; i < 20; i++) {
        char name[16];
        snprintf(name, sizeof name, "x%d", i);
        pawl_request one = ask_acquire(name, fresh_token(), LONG_MS);
        pawl_request two = ask_acquire(name, fresh_token(), LONG_MS);
        /* Both are kept at the door, then let in. */
        PGconn *door = rig_connect();
        PQclear(PQexec(door, "BEGIN"));
        char sql[100];
        snprintf(sql, sizeof sql, "SELECT %s.enter('%s')", schema, name);
        PQclear(PQexec(door, sql));
        int64_t start = host_now();
        uint64_t first = client_submit(a, &one), second = client_submit(b, &two);
        client_flush(a);
        client_flush(b);
        while (strcmp(rig_sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT "
                              "granted"),
                      "2") != 0) {
            CHECK(host_now() - start < LATE_NS);
            test_loop_for(rig_loop(), 1);
        }
        PQfinish(door);
        pawl_outcome got = client_await(a, first)->reply.outcome;
        pawl_outcome got_too = client_await(b, second)->reply.outcome;
        assert_true((got == PAWL_GRANTED && got_too == PAWL_BUSY) ||
                    (got == PAWL_BUSY && got_too == PAWL_GRANTED));
    }
    client_close(a);
    client_close(b);
}

static void it_works_under_each_default_isolation(void **state)
{
    static const char *const levels[] = {"read committed", "repeatable read", "serializable"};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        rig_sql("ALTER ROLE pawl SET default_transaction_isolation = '%s'", levels[i]);
        see_what_was_granted_meanwhile(rig_schema());
    }
    rig_sql("ALTER ROLE pawl RESET default_transaction_isolation");
}

/* The server tells what a commit waited for by the statistics of its log only; the setting is seen.
 */
static void a_commit_is_waited_for_whatever_the_default(void **state)
{
    const char *schema = rig_schema();
    (void)state;
    store_address address = rig_address(schema);
    client_close(client_up(rig_loop(), &address, "a")); /* the schema is made */
    rig_sql("CREATE TABLE %s.seen(setting text); "
            "CREATE FUNCTION %s.see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO "
            "%s.seen VALUES (current_setting('synchronous_commit')); RETURN NEW; END $$; "
            "CREATE TRIGGER see BEFORE INSERT ON %s.hold FOR EACH ROW EXECUTE FUNCTION %s.see()",
            schema, schema, schema, schema, schema);
    rig_sql("ALTER ROLE pawl SET synchronous_commit = off");
    client *a = client_up(rig_loop(), &address, "a");
    rig_expect(a, ask_acquire("x", fresh_token(), LONG_MS), PAWL_GRANTED);
    assert_string_equal(rig_sql("SELECT string_agg(setting, ',') FROM %s.seen", schema), "on");
    client_close(a);
    rig_sql("ALTER ROLE pawl RESET synchronous_commit");
}

/* ---- Commits that may not survive
 * ------------------------------------------------------------------ */

/* The commit waits for a standby that does not exist; somebody cancels the waiting. */
static void a_commit_that_was_warned_about_is_no_grant(void **state)
{
    const char *token = fresh_token();
    store_address address = rig_address(rig_schema());
    (void)state;
    client *a = client_up(rig_loop(), &address, "waits for a standby");
    rig_sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    rig_sql("SELECT pg_reload_conf()");
    int tries = 0;
    char name[24] = "try 0";
    pawl_request request = ask_acquire(name, token, LONG_MS);
    int64_t begun = host_now();
    uint64_t id = client_submit(a, &request);
    client_flush(a);
    while (
        strcmp(rig_sql("SET synchronous_commit = local; SELECT count(pg_cancel_backend(pid)) FROM "
                       "pg_stat_activity WHERE wait_event = 'SyncRep'"),
               "1") != 0) {
        CHECK(host_now() - begun < LATE_NS);
        test_loop_for(rig_loop(), 1);
        if (client_answer(a, id)) { /* the server has not read its new settings yet */
            snprintf(name, sizeof name, "try %d", ++tries);
            request = ask_acquire(name, token, LONG_MS);
            id = client_submit(a, &request);
            client_flush(a);
        }
    }
    const seen_reply *answer = client_await(a, id);
    assert_int_equal(answer->reply.outcome, PAWL_UNKNOWN);
    assert_non_null(strstr(answer->text, "may not survive"));
    rig_sql("ALTER SYSTEM RESET synchronous_standby_names");
    rig_sql("SELECT pg_reload_conf()");
    for (int64_t start = host_now();;) { /* asked again with its token it is told what it has */
        if (client_ask(a, &request)->reply.outcome == PAWL_GRANTED) break;
        assert_true(host_now() - start < LATE_NS);
    }
    client_close(a);
}

/* ---- The fence in the user's own transaction ------------------------------------------------ */

/* As docs/fencing.md says it. */
static bool still_mine(PGconn *conn, const char *schema, uint64_t fence)
{
    char sql[200];
    snprintf(sql, sizeof sql, "SELECT FROM %s.hold WHERE name = 'x' AND fence = %llu FOR KEY SHARE",
             schema, (unsigned long long)fence);
    PGresult *result = PQexec(conn, sql);
    CHECK(PQresultStatus(result) == PGRES_TUPLES_OK);
    bool mine = PQntuples(result) == 1;
    PQclear(result);
    return mine;
}

static void nobody_is_granted_while_a_transaction_has_checked_the_fence(void **state)
{
    enum { TTL_MS = 100 };
    const char *schema = rig_schema(), *token = fresh_token();
    store_address address = rig_address(schema);
    (void)state;
    client *a = client_up(rig_loop(), &address, "a"), *b = client_up(rig_loop(), &address, "b");
    uint64_t fence = rig_expect(a, ask_acquire("x", token, TTL_MS), PAWL_GRANTED)->reply.fence;
    PGconn *user = rig_connect();
    PQclear(PQexec(user, "BEGIN"));
    assert_true(still_mine(user, schema, fence));
    rig_expect(a, ask_renew("x", token, TTL_MS), PAWL_CONFIRMED); /* renewals go on */
    test_loop_for(rig_loop(), TTL_MS + 20);
    pawl_request request = ask_acquire("x", fresh_token(), LONG_MS); /* it has run out */
    uint64_t id = client_submit(b, &request);
    client_flush(b);
    test_loop_for(rig_loop(), 50);
    assert_null(client_answer(b, id));
    PQclear(PQexec(user, "COMMIT"));
    assert_int_equal(client_await(b, id)->reply.outcome, PAWL_GRANTED);
    assert_false(still_mine(user, schema, fence)); /* late */
    PQfinish(user);
    client_close(a);
    client_close(b);
}

/* ---- Fences and names
 * --------------------------------------------------------------------------------- */

static uint64_t fence_of_turn(client *c, const char *name)
{
    const char *token = fresh_token();
    uint64_t fence = rig_expect(c, ask_acquire(name, token, LONG_MS), PAWL_GRANTED)->reply.fence;
    rig_expect(c, ask_release(name, token), PAWL_RELEASED);
    return fence;
}

static void fences_grow_across_kill_and_lost_rows(void **state)
{
    const char *schema = rig_schema();
    store_address address = rig_address(schema);
    (void)state;
    client *a = client_up(rig_loop(), &address, "a");
    uint64_t first = fence_of_turn(a, "x"), second = fence_of_turn(a, "x");
    assert_true(second > first);
    postgres_server_kill(rig_server());
    client_await_link(a, false);
    postgres_server_restart(rig_server());
    client_await_link(a, true);
    uint64_t third = fence_of_turn(a, "x");
    assert_true(third > second);
    rig_sql("DELETE FROM %s.name", schema);
    assert_true(fence_of_turn(a, "x") > third);
    client_close(a);
}

/* An acknowledged lease is there after a crash: nobody else gets the lock before its ttl. */
static void a_lock_survives_the_crash_of_the_server(void **state)
{
    const char *token = fresh_token();
    store_address address = rig_address(rig_schema());
    (void)state;
    client *a = client_up(rig_loop(), &address, "a");
    uint64_t fence = rig_expect(a, ask_acquire("x", token, LONG_MS), PAWL_GRANTED)->reply.fence;
    postgres_server_kill(rig_server());
    client_await_link(a, false);
    postgres_server_restart(rig_server());
    client_await_link(a, true);
    rig_expect(a, ask_acquire("x", fresh_token(), LONG_MS), PAWL_BUSY);
    const seen_reply *again = rig_expect(a, ask_renew("x", token, LONG_MS), PAWL_CONFIRMED);
    assert_int_equal(again->reply.fence, fence);
    client_close(a);
}

static void names_are_any_bytes(void **state)
{
    store_address address = rig_address(rig_schema());
    char longest[PAWL_NAME_MAX + 1];
    (void)state;
    for (size_t i = 0; i < PAWL_NAME_MAX; i++) longest[i] = (char)(i % 255 + 1);
    longest[PAWL_NAME_MAX] = '\0';
    const char *const names[] = {longest, "'; DROP TABLE x; --", "\\x61", "\xff\xfe", "%s$1"};
    client *a = client_up(rig_loop(), &address, "o'wner\\ \"$1\" \xc3\xa9"),
           *b = client_up(rig_loop(), &address, "b");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *held = fresh_token(), *waiter = fresh_token();
        rig_expect(a, ask_acquire(names[i], held, LONG_MS), PAWL_GRANTED);
        const seen_reply *busy =
            rig_expect(b, ask_acquire(names[i], fresh_token(), LONG_MS), PAWL_BUSY);
        assert_string_equal(busy->text, "o'wner\\ \"$1\" \xc3\xa9");
        rig_expect(b, ask_queue(names[i], waiter, LONG_MS), PAWL_QUEUED);
        rig_expect(a, ask_release(names[i], held), PAWL_RELEASED);
        const seen_push *push = client_await_push(b, PAWL_PUSH_GRANT, waiter);
        assert_string_equal(push->name, names[i]);
        pawl_request list = ask_list("");
        uint64_t id = client_submit(b, &list);
        client_flush(b);
        client_await(b, id);
        assert_non_null(client_row_named(b, id, names[i]));
    }
    client_close(a);
    client_close(b);
}

/* A list of more names than one page has. */
static void a_long_list_is_complete(void **state)
{
    enum { NAMES = 650 };
    store_address address = rig_address(rig_schema());
    (void)state;
    client *a = client_up(rig_loop(), &address, "a");
    for (int i = 0; i < NAMES; i++) {
        char name[16];
        snprintf(name, sizeof name, "n%d", i);
        pawl_request request = ask_acquire(name, fresh_token(), LONG_MS);
        client_submit(a, &request);
    }
    client_flush(a);
    client_await_all(a);
    pawl_request list = ask_list("n");
    uint64_t id = client_submit(a, &list);
    client_flush(a);
    assert_int_equal(client_await(a, id)->reply.outcome, PAWL_REPORTED);
    assert_int_equal(client_row_count(a, id), NAMES);
    client_close(a);
}

/* ---- Functions of others --------------------------------------------------------------------- */

/* Each fits better than the server's own of that name, by its types, and counts its calls. */
static void set_traps(void)
{
    rig_sql("CREATE SEQUENCE public.trapped; "
            "CREATE FUNCTION public.hashtextextended(text, integer) RETURNS bigint LANGUAGE sql AS "
            "'SELECT nextval(''public.trapped'')'; "
            "CREATE FUNCTION public.obj_description(regnamespace, text) RETURNS text LANGUAGE sql "
            "AS 'SELECT nextval(''public.trapped'')::text'; "
            "CREATE FUNCTION public.trap(numeric, integer) RETURNS numeric LANGUAGE sql AS "
            "'SELECT nextval(''public.trapped'')::numeric'; "
            "CREATE FUNCTION public.trap(text, bigint) RETURNS text LANGUAGE sql AS "
            "'SELECT nextval(''public.trapped'')::text'; "
            "CREATE OPERATOR public.* (leftarg = numeric, rightarg = integer, "
            "function = public.trap); "
            "CREATE OPERATOR public.|| (leftarg = text, rightarg = bigint, function = "
            "public.trap)");
}

static void remove_traps(void)
{
    rig_sql("DROP OPERATOR public.* (numeric, integer); DROP OPERATOR public.|| (text, bigint); "
            "DROP FUNCTION public.trap(numeric, integer); DROP FUNCTION public.trap(text, bigint); "
            "DROP FUNCTION public.obj_description(regnamespace, text); "
            "DROP FUNCTION public.hashtextextended(text, integer); DROP SEQUENCE public.trapped");
}

/* All that is asked for again and again, the list and the doctor. */
static void ask_for_everything(client *a, client *b)
{
    const char *holder = fresh_token(), *waiter = fresh_token();
    rig_expect(a, ask_acquire("x", holder, LONG_MS), PAWL_GRANTED);
    rig_expect(b, ask_queue("x", waiter, LONG_MS), PAWL_QUEUED);
    rig_expect(a, ask_renew("x", holder, LONG_MS), PAWL_CONFIRMED);
    rig_expect(a, ask_publish("x", holder, "value"), PAWL_CONFIRMED);
    rig_expect(b, ask_read("x", LONG_MS), PAWL_REPORTED);
    rig_expect(b, ask_list(""), PAWL_REPORTED);
    rig_expect(a, ask_release("x", holder), PAWL_RELEASED);
    rig_expect(b, ask_queue("x", waiter, LONG_MS), PAWL_GRANTED);
    rig_expect(b, ask_release("x", waiter), PAWL_RELEASED);
    rig_expect(a, ask_permits("p", holder, 2, 3, LONG_MS, 0), PAWL_GRANTED);
    rig_expect(a, ask_release("p", holder), PAWL_RELEASED);
    rig_expect(a, ask_doctor(), PAWL_REPORTED);
}

/* Who may create in public puts something there that looks like the server's own. */
static void what_others_have_created_is_not_carried_out(void **state)
{
    store_address address = rig_address(rig_schema());
    (void)state;
    set_traps();
    client *a = client_up(rig_loop(), &address, "a"); /* makes the schema */
    client *b = client_up(rig_loop(), &address, "b");
    ask_for_everything(a, b);
    rig_sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> "
            "pg_backend_pid() AND application_name LIKE 'pawl:%%'");
    rig_acquire_soon(a, "y", fresh_token()); /* by a session that was warmed up */
    assert_string_equal(rig_sql("SELECT is_called::text FROM public.trapped"), "false");
    client_close(a);
    client_close(b);
    remove_traps();
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        /* First: it forks, and there is no thread yet. */
        cmocka_unit_test(of_a_killed_process_the_lock_ends_with_its_ttl),
        cmocka_unit_test(who_stands_still_behind_its_statement_holds_up_nobody),
        cmocka_unit_test(it_works_under_each_default_isolation),
        cmocka_unit_test(a_commit_is_waited_for_whatever_the_default),
        cmocka_unit_test(a_commit_that_was_warned_about_is_no_grant),
        cmocka_unit_test(nobody_is_granted_while_a_transaction_has_checked_the_fence),
        cmocka_unit_test(fences_grow_across_kill_and_lost_rows),
        cmocka_unit_test(a_lock_survives_the_crash_of_the_server),
        cmocka_unit_test(names_are_any_bytes),
        cmocka_unit_test(a_long_list_is_complete),
        cmocka_unit_test(what_others_have_created_is_not_carried_out),
    };
    rig_need_server();
    return cmocka_run_group_tests(cases, rig_begin, rig_end);
}
