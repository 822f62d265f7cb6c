/* SPDX-License-Identifier: MIT */
/* What could let two hold, or keep all from holding: isolation, new names, statements that somebody
 * ends, rows that are locked, crashes. */
#define _GNU_SOURCE
#include "rig.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* INNODB_TRX tells what it told before if it is asked again within 0.1 s. */
#define WAITING                                                                                    \
    "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = "           \
    "'INNODB_ROW_LOCK_CURRENT_WAITS'"

/* ---- A process that is killed --------------------------------------------------------------- */

/* The server sees the end of the connection on which a client asks, and hands it nothing from then
 * on: here its process stands still, so it ends nothing by itself. */
static void a_client_that_cannot_ask_any_more_is_away(void **state)
{
    const char *database = rig_database();
    store_address address = rig_address(database);
    char id[40], is_away[100];
    (void)state;
    pid_t child = rig_start_process(&address, "child", fresh_token());
    CHECK(kill(child, SIGSTOP) == 0);
    snprintf(id, sizeof id, "%.32s", rig_sql("SELECT client FROM %s.pawl_hold", database));
    snprintf(is_away, sizeof is_away, "SELECT IS_FREE_LOCK('pawl.%s')", id);
    assert_string_equal(rig_sql("%s", is_away), "0");
    rig_sql("KILL %s", rig_sql("SELECT IS_USED_LOCK('pawl.wait.%s')", id));
    rig_until("1", is_away);
    rig_kill_process(child);
}

/* Its lock ends with its ttl, and not before; a place of one that was killed holds up nobody, once
 * the server has seen that its connection is gone. */
static void of_a_killed_process_the_lock_ends_with_its_ttl(void **state)
{
    const char *database = rig_database(), *held = fresh_token(), *dead = fresh_token();
    const char *next = fresh_token();
    store_address address = rig_address(database);
    (void)state;
    pid_t holder = rig_start_process(&address, "holder", held);
    pid_t waiter = rig_start_process(&address, "waiter", dead);
    rig_kill_process(holder);
    rig_kill_process(waiter);
    rig_until("1", "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = 'root'");
    client *a = client_up(rig_loop(), &address, "a");
    const seen_reply *answer = rig_expect(a, ask_queue("x", next, LONG_MS), PAWL_QUEUED);
    assert_int_equal(answer->reply.position, 1);
    assert_true(answer->reply.holder_ms > 0);
    rig_expect(a, ask_acquire("x", fresh_token(), LONG_MS), PAWL_BUSY);
    rig_sql("UPDATE %s.pawl_hold SET until_us = until_us - ttl_us",
            database); /* as time would do */
    uint64_t fence = strtoull(rig_sql("SELECT fence FROM %s.pawl_hold", database), NULL, 10);
    answer = rig_expect(a, ask_queue("x", next, LONG_MS), PAWL_GRANTED);
    assert_true(answer->reply.fence > fence);
    client_close(a);
}

/* ---- Requests that meet --------------------------------------------------------------------- */

/* Asked, and at the server kept waiting for a row; so many wait there then. */
static uint64_t ask_and_wait(client *c, const pawl_request *request, const char *how_many)
{
    uint64_t id = client_submit(c, request);
    client_flush(c);
    rig_until(how_many, WAITING);
    return id;
}

/* Root's own transaction has the row of the name. */
static MYSQL *lock_name(const char *database, const char *name)
{
    MYSQL *door = rig_connect();
    rig_run(door, "USE %s", database);
    rig_run(door, "CALL pawl_enter('%s', TRUE, @t, @new, @last, @cap)", name);
    return door;
}

static void open_door(MYSQL *door)
{
    rig_run(door, "COMMIT");
    mysql_close(door);
}

/* Two ask at once for a name that was never there, and neither finds its row. The one that comes
 * second to make it waits for the first, and must see the first's grant. */
static void of_two_who_make_a_name_at_once_one_is_granted(void **state)
{
    const char *database = rig_database(), *token = fresh_token();
    store_address address = rig_address(database);
    (void)state;
    client *a = client_up(rig_loop(), &address, "a");
    MYSQL *door = rig_connect();
    rig_run(door, "USE %s", database);
    rig_run(door, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"); /* so the gap is locked */
    rig_run(door, "BEGIN");
    rig_run(door, "SELECT name FROM pawl_name WHERE name = 'x' FOR UPDATE");
    pawl_request request = ask_acquire("x", token, LONG_MS);
    uint64_t id = ask_and_wait(a, &request, "1"); /* it has found nothing, and would insert */
    rig_run(door, "INSERT INTO pawl_name VALUES ('x', 1, 0, 9007199254740992)");
    rig_run(door,
            "INSERT INTO pawl_hold VALUES "
            "('x', '%s', 0, 1, 9007199254740992, 1, 0, 0, 0, '', 'root', 0)",
            fresh_token());
    open_door(door);
    const seen_reply *answer = client_await(a, id);
    assert_int_equal(answer->reply.outcome, PAWL_BUSY);
    assert_string_equal(answer->text, "root");
    client_close(a);
}

/* A request that waits for another one, which grants meanwhile, must see that grant. */
static void see_what_was_granted_meanwhile(const char *database)
{
    store_address address = rig_address(database);
    client *a = client_up(rig_loop(), &address, "a"), *b = client_up(rig_loop(), &address, "b");
    for (int i = 0; i < 5; i++) {
        char name[16];
        snprintf(name, sizeof name, "x%d", i / 2); /* new ones, and some that are there already */
        const char *one = fresh_token(), *two = fresh_token();
        MYSQL *door = lock_name(database, name);
        pawl_request first = ask_acquire(name, one, LONG_MS),
                     second = ask_acquire(name, two, LONG_MS);
        uint64_t first_id = ask_and_wait(a, &first, "1");
        uint64_t second_id = ask_and_wait(b, &second, "2");
        open_door(door);
        pawl_outcome got = client_await(a, first_id)->reply.outcome;
        pawl_outcome got_too = client_await(b, second_id)->reply.outcome;
        assert_true((got == PAWL_GRANTED && got_too == PAWL_BUSY) ||
                    (got == PAWL_BUSY && got_too == PAWL_GRANTED));
        rig_expect(got == PAWL_GRANTED ? a : b, ask_release(name, got == PAWL_GRANTED ? one : two),
                   PAWL_RELEASED);
    }
    client_close(a);
    client_close(b);
}

static void it_works_under_each_default_isolation(void **state)
{
    static const char *const levels[] = {"READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        rig_sql("SET GLOBAL TRANSACTION ISOLATION LEVEL %s", levels[i]);
        see_what_was_granted_meanwhile(rig_database());
    }
    rig_sql("SET GLOBAL TRANSACTION ISOLATION LEVEL REPEATABLE READ");
}

static void it_works_with_strange_defaults_of_sessions(void **state)
{
    const char *token = fresh_token(), *waits = fresh_token();
    store_address address = rig_address(rig_database());
    (void)state;
    rig_sql("SET GLOBAL autocommit=0, completion_type=2, sql_select_limit=1, sql_safe_updates=1, "
            "sql_mode='ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH', "
            "time_zone='+05:30', group_concat_max_len=4");
    client *a = client_up(rig_loop(), &address, "a"), *b = client_up(rig_loop(), &address, "b");
    rig_sql(
        "SET GLOBAL autocommit=1, completion_type=0, sql_select_limit=DEFAULT, "
        "sql_safe_updates=0, sql_mode=DEFAULT, time_zone=DEFAULT, group_concat_max_len=DEFAULT");
    rig_expect(a, ask_permits("s", token, 20, 20, LONG_MS, false), PAWL_GRANTED);
    rig_expect(b, ask_permits("s", waits, 20, 20, LONG_MS, true), PAWL_QUEUED);
    rig_expect(a, ask_release("s", token), PAWL_RELEASED);
    assert_int_equal(client_await_push(b, PAWL_PUSH_GRANT, waits)->push.slot_count, 20);
    client_close(a);
    client_close(b);
}

/* The clock is read when the row is ours: a lease that ran out while we waited for it has run out.
 */
static void time_is_taken_after_the_row(void **state)
{
    enum { TTL_MS = 100 };
    const char *database = rig_database();
    store_address address = rig_address(database);
    (void)state;
    client *a = client_up(rig_loop(), &address, "a"), *b = client_up(rig_loop(), &address, "b");
    rig_expect(a, ask_acquire("x", fresh_token(), LONG_MS), PAWL_GRANTED);
    MYSQL *door = lock_name(database, "x");
    pawl_request request = ask_acquire("x", fresh_token(), LONG_MS);
    uint64_t id = ask_and_wait(b, &request, "1");
    rig_run(door,
            "UPDATE pawl_hold SET until_us = TIMESTAMPDIFF(MICROSECOND, '1970-01-01', "
            "UTC_TIMESTAMP(6)) + %d",
            TTL_MS * 1000);
    test_loop_for(rig_loop(), TTL_MS + 20);
    open_door(door);
    assert_int_equal(client_await(b, id)->reply.outcome, PAWL_GRANTED);
    client_close(a);
    client_close(b);
}

/* ---- Statements that end early --------------------------------------------------------------- */

/* Somebody kills the statement while it waits: that may have been after its commit, so it is
 * unknown; and it leaves no row locked and nothing half done. */
static void a_statement_that_was_killed_is_unknown_and_undone(void **state)
{
    const char *database = rig_database(), *token = fresh_token(), *behind = fresh_token();
    store_address address = rig_address(database);
    (void)state;
    client *a = client_up(rig_loop(), &address, "a"), *b = client_up(rig_loop(), &address, "b");
    rig_expect(b, ask_acquire("y", fresh_token(), LONG_MS), PAWL_GRANTED);
    MYSQL *door = lock_name(database, "x");
    rig_run(door, "INSERT INTO pawl_hold VALUES ('x', '%s', 0, 1, 0, 1, 0, 0, 0, '', '', 0)",
            fresh_token());
    pawl_request request = ask_acquire("x", token, LONG_MS);
    uint64_t id = ask_and_wait(a, &request, "1");
    pawl_request next = ask_acquire("z", behind, LONG_MS);
    uint64_t next_id = client_submit(a, &next);
    client_flush(a);
    rig_sql("KILL QUERY %s",
            rig_sql("SELECT trx_mysql_thread_id FROM information_schema.INNODB_TRX "
                    "WHERE trx_state = 'LOCK WAIT'"));
    const seen_reply *answer = client_await(a, id);
    assert_int_equal(answer->reply.outcome, PAWL_UNKNOWN);
    assert_int_equal(pawl_err_class_of(answer->reply.err), PAWL_CLASS_RETRY);
    /* On that connection it would have committed what was done of the other one. */
    assert_int_equal(client_await(a, next_id)->reply.outcome, PAWL_UNKNOWN);
    client_await_link(a, false);
    open_door(door);
    client_await_link(a, true);
    rig_expect(b, ask_acquire("x", fresh_token(), LONG_MS), PAWL_GRANTED);
    rig_expect(a, ask_acquire("x", token, LONG_MS), PAWL_BUSY);
    rig_expect(a, ask_acquire("z", behind, LONG_MS), PAWL_GRANTED);
    client_close(a);
    client_close(b);
}

/* A row that somebody keeps for long: told as not done, and so it is. */
static void a_row_that_is_waited_for_too_long_is_not_done(void **state)
{
    const char *database = rig_database(), *token = fresh_token();
    store_address address = rig_address(database);
    (void)state;
    client *a = client_up(rig_loop(), &address, "a");
    MYSQL *door = lock_name(database, "x");
    const seen_reply *answer = rig_expect(a, ask_acquire("x", token, LONG_MS), PAWL_FAILED);
    assert_int_equal(answer->reply.err, PAWL_ERR_STORE_BUSY);
    open_door(door);
    assert_string_equal(rig_sql("SELECT COUNT(*) FROM %s.pawl_hold", database), "0");
    rig_expect(a, ask_acquire("x", token, LONG_MS), PAWL_GRANTED);
    client_close(a);
}

/* A deadlock as InnoDB finds it: whichever of the two is undone, nobody is told a wrong thing. */
static void a_deadlock_is_not_done(void **state)
{
    const char *database = rig_database(), *token = fresh_token();
    store_address address = rig_address(database);
    (void)state;
    client *a = client_up(rig_loop(), &address, "a");
    rig_expect(a, ask_acquire("x", fresh_token(), LONG_MS), PAWL_GRANTED);
    rig_sql("UPDATE %s.pawl_hold SET until_us = 1", database); /* whoever asks deletes it */
    MYSQL *door = rig_connect();
    rig_run(door, "USE %s", database);
    rig_run(door, "BEGIN");
    rig_run(door,
            "INSERT INTO pawl_broken SELECT name, REPEAT(token, 1), seq_1_to_50.seq, 1, 1, '' "
            "FROM pawl_hold, seq_1_to_50"); /* the lighter one is undone */
    rig_run(door, "SELECT * FROM pawl_hold FOR UPDATE");
    pawl_request request = ask_acquire("x", token, LONG_MS);
    uint64_t id = ask_and_wait(a, &request, "1");
    rig_run(door, "SELECT * FROM pawl_name FOR UPDATE");
    const seen_reply *answer = client_await(a, id);
    assert_int_equal(answer->reply.outcome, PAWL_FAILED);
    assert_int_equal(answer->reply.err, PAWL_ERR_STORE_BUSY);
    open_door(door);
    rig_expect(a, ask_acquire("x", token, LONG_MS), PAWL_GRANTED);
    client_close(a);
}

/* ---- The fence in the user's own transaction ------------------------------------------------- */

/* As docs/fencing.md says it. */
static void nobody_is_granted_while_a_transaction_has_checked_the_fence(void **state)
{
    const char *database = rig_database();
    store_address address = rig_address(database);
    (void)state;
    client *a = client_up(rig_loop(), &address, "a"), *b = client_up(rig_loop(), &address, "b");
    uint64_t fence =
        rig_expect(a, ask_acquire("x", fresh_token(), LONG_MS), PAWL_GRANTED)->reply.fence;
    MYSQL *user = rig_connect();
    char check[200];
    snprintf(check, sizeof check,
             "SELECT 'mine' FROM %s.pawl_hold WHERE name = 'x' AND fence = %llu LOCK IN SHARE MODE",
             database, (unsigned long long)fence);
    rig_run(user, "BEGIN");
    assert_string_equal(rig_run(user, "%s", check), "mine");
    pawl_request request = ask_break("x", fence);
    uint64_t id = ask_and_wait(b, &request, "1");
    assert_null(client_answer(b, id));
    rig_run(user, "COMMIT");
    assert_int_equal(client_await(b, id)->reply.outcome, PAWL_RELEASED);
    assert_string_equal(rig_run(user, "%s", check), ""); /* late */
    mysql_close(user);
    client_close(a);
    client_close(b);
}

/* ---- Fences, crashes and names --------------------------------------------------------------- */

static uint64_t fence_of_turn(client *c, const char *name)
{
    const char *token = fresh_token();
    uint64_t fence = rig_expect(c, ask_acquire(name, token, LONG_MS), PAWL_GRANTED)->reply.fence;
    rig_expect(c, ask_release(name, token), PAWL_RELEASED);
    return fence;
}

static void restart(client *c)
{
    mariadb_server_kill(rig_server());
    client_await_link(c, false);
    mariadb_server_restart(rig_server());
    client_await_link(c, true);
}

static void fences_grow_across_kill_and_lost_rows(void **state)
{
    const char *database = rig_database();
    store_address address = rig_address(database);
    (void)state;
    client *a = client_up(rig_loop(), &address, "a");
    uint64_t first = fence_of_turn(a, "x"), second = fence_of_turn(a, "x");
    assert_true(second > first);
    restart(a);
    uint64_t third = fence_of_turn(a, "x");
    assert_true(third > second);
    rig_sql("DELETE FROM %s.pawl_name", database);
    assert_true(fence_of_turn(a, "x") > third);
    client_close(a);
}

/* An acknowledged lease is there after a crash: nobody else gets the lock before its ttl. */
static void a_lock_survives_the_crash_of_the_server(void **state)
{
    const char *token = fresh_token();
    store_address address = rig_address(rig_database());
    (void)state;
    client *a = client_up(rig_loop(), &address, "a");
    uint64_t fence = rig_expect(a, ask_acquire("x", token, LONG_MS), PAWL_GRANTED)->reply.fence;
    restart(a);
    rig_expect(a, ask_acquire("x", fresh_token(), LONG_MS), PAWL_BUSY);
    const seen_reply *again = rig_expect(a, ask_renew("x", token, LONG_MS), PAWL_CONFIRMED);
    assert_int_equal(again->reply.fence, fence);
    client_close(a);
}

static void names_are_any_bytes(void **state)
{
    store_address address = rig_address(rig_database());
    char longest[PAWL_NAME_MAX + 1];
    (void)state;
    for (size_t i = 0; i < PAWL_NAME_MAX; i++) longest[i] = (char)(i % 255 + 1);
    longest[PAWL_NAME_MAX] = '\0';
    const char *const names[] = {longest, "'; DROP TABLE x; --", "A", "a", "a ", "\xff\xfe",
                                 "%s`1"};
    client *a = client_up(rig_loop(), &address, "o'wner\\ \"`1\" \xc3\xa9"),
           *b = client_up(rig_loop(), &address, "b");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *held = fresh_token(), *waiter = fresh_token();
        rig_expect(a, ask_acquire(names[i], held, LONG_MS), PAWL_GRANTED);
        const seen_reply *busy =
            rig_expect(b, ask_acquire(names[i], fresh_token(), LONG_MS), PAWL_BUSY);
        assert_string_equal(busy->text, "o'wner\\ \"`1\" \xc3\xa9");
        rig_expect(b, ask_queue(names[i], waiter, LONG_MS), PAWL_QUEUED);
        rig_expect(a, ask_release(names[i], held), PAWL_RELEASED);
        const seen_push *push = client_await_push(b, PAWL_PUSH_GRANT, waiter);
        assert_string_equal(push->name, names[i]);
    }
    client_close(a);
    client_close(b);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        /* First: they fork, and there is no thread yet. */
        cmocka_unit_test(a_client_that_cannot_ask_any_more_is_away),
        cmocka_unit_test(of_a_killed_process_the_lock_ends_with_its_ttl),
        cmocka_unit_test(of_two_who_make_a_name_at_once_one_is_granted),
        cmocka_unit_test(it_works_under_each_default_isolation),
        cmocka_unit_test(it_works_with_strange_defaults_of_sessions),
        cmocka_unit_test(time_is_taken_after_the_row),
        cmocka_unit_test(a_statement_that_was_killed_is_unknown_and_undone),
        cmocka_unit_test(a_row_that_is_waited_for_too_long_is_not_done),
        cmocka_unit_test(a_deadlock_is_not_done),
        cmocka_unit_test(nobody_is_granted_while_a_transaction_has_checked_the_fence),
        cmocka_unit_test(fences_grow_across_kill_and_lost_rows),
        cmocka_unit_test(a_lock_survives_the_crash_of_the_server),
        cmocka_unit_test(names_are_any_bytes),
    };
    rig_need_server();
    return cmocka_run_group_tests(cases, rig_begin, rig_end);
}
