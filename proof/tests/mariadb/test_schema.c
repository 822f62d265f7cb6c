/* SPDX-License-Identifier: MIT */
/* The schema: who makes it, who may not, and what is left in its tables. */
#define _GNU_SOURCE
#include "rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void all_who_come_first_at_once_find_it(void **state)
{
    enum { CLIENTS = 8 };
    client *clients[CLIENTS];
    store_address address = rig_address(rig_database());
    (void)state;
    for (int i = 0; i < CLIENTS; i++) clients[i] = client_open(rig_loop(), &address, "a");
    for (int i = 0; i < CLIENTS; i++) client_await_link(clients[i], true);
    for (int i = 0; i < CLIENTS; i++) {
        assert_int_equal(client_link_count(clients[i]), 1); /* none had to come again */
        client_close(clients[i]);
    }
}

static void who_may_not_make_it_is_told_what_to_do(void **state)
{
    const char *database = rig_database(), *token = fresh_token();
    (void)state;
    rig_sql("CREATE USER plain@localhost");
    store_address address = rig_address(database);
    address.user = "plain";
    client *c = client_open(rig_loop(), &address, "a");
    assert_int_equal(rig_await_refusal(c)->err, PAWL_ERR_PERMISSION);
    assert_non_null(strstr(client_link(c, 0)->text, "pawl schema mariadb"));
    assert_non_null(strstr(client_link(c, 0)->text, "there is no database"));
    address.user = "root";
    client *maker = client_up(rig_loop(), &address, "maker");
    rig_sql("GRANT EXECUTE ON %s.* TO plain@localhost", database); /* as schema.sql says */
    client_await_link(c, true); /* it has tried again by itself */
    assert_true(client_caps(c)->push);
    rig_expect(c, ask_acquire("x", token, LONG_MS), PAWL_GRANTED);
    rig_expect(maker, ask_queue("x", fresh_token(), LONG_MS), PAWL_QUEUED);
    rig_expect(c, ask_release("x", token), PAWL_RELEASED);
    client_close(c);
    client_close(maker);
}

static void a_schema_of_another_format_is_left_alone(void **state)
{
    const char *database = rig_database();
    (void)state;
    rig_sql("CREATE DATABASE %s", database);
    rig_sql("CREATE PROCEDURE %s.pawl_format() SELECT 'pawl format 999' AS reply", database);
    store_address address = rig_address(database);
    client *c = client_open(rig_loop(), &address, "a");
    assert_int_equal(rig_await_refusal(c)->err, PAWL_ERR_VERSION);
    client_abandon(c);
    assert_string_equal(
        rig_sql("SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = '%s'",
                database),
        "0");
}

/* Format 1, from before publications had numbers. A lease that was taken then counts from 0. */
static void a_schema_without_numbers_gets_them(void **state)
{
    const char *database = rig_database(), *token = fresh_token();
    store_address address = rig_address(database);
    (void)state;
    client *c = client_up(rig_loop(), &address, "a");
    rig_expect(c, ask_acquire("x", token, LONG_MS), PAWL_GRANTED);
    client_close(c);
    rig_sql("ALTER TABLE %s.pawl_hold DROP COLUMN published", database);
    rig_sql("DROP PROCEDURE %s.pawl_publish", database);
    rig_sql("DROP PROCEDURE %s.pawl_format", database);
    rig_sql("CREATE PROCEDURE %s.pawl_format() SELECT 'pawl format 1' AS reply", database);
    c = client_up(rig_loop(), &address, "a");
    pawl_request late = ask_publish("x", token, "late");
    rig_expect(c, ask_publish("x", token, "kept"), PAWL_CONFIRMED);
    rig_expect(c, late, PAWL_CONFIRMED);
    rig_expect(c, ask_acquire("y", fresh_token(), LONG_MS), PAWL_GRANTED);
    const pawl_value *value = rig_expect(c, ask_read("x", 0), PAWL_REPORTED)->reply.value;
    assert_int_equal(value->len, 4);
    assert_memory_equal(value->bytes, "kept", 4);
    client_close(c);
}

/* Each new value removes some values and watches that have ended. */
static void old_values_leave_with_new_ones(void **state)
{
    enum { OLD = 12 };
    const char *database = rig_database(), *token = fresh_token();
    store_address address = rig_address(database);
    char name[16];
    (void)state;
    client *c = client_up(rig_loop(), &address, "a");
    for (int i = 0; i < OLD; i++) {
        snprintf(name, sizeof name, "old%d", i);
        token = fresh_token();
        rig_expect(c, ask_acquire(name, token, LONG_MS), PAWL_GRANTED);
        rig_expect(c, ask_publish(name, token, "old"), PAWL_CONFIRMED);
        rig_expect(c, ask_read(name, LONG_MS), PAWL_REPORTED);
    }
    rig_sql("UPDATE %s.pawl_value SET until_us = 0", database);
    rig_sql("UPDATE %s.pawl_watch SET until_us = 0", database);
    for (int i = 0; i < OLD / 4; i++)
        rig_expect(c, ask_publish(name, token, "new"), PAWL_CONFIRMED);
    assert_string_equal(rig_sql("SELECT COUNT(*) FROM %s.pawl_value", database), "1");
    assert_string_equal(rig_sql("SELECT COUNT(*) FROM %s.pawl_watch", database), "0");
    client_close(c);
}

static void only_so_many_watch_one_name(void **state)
{
    const char *database = rig_database();
    store_address address = rig_address(database);
    (void)state;
    client *c = client_up(rig_loop(), &address, "a");
    rig_sql("INSERT INTO %s.pawl_watch SELECT 'x', CONCAT('client', seq), 9007199254740992 "
            "FROM %s.seq_1_to_%d",
            database, database, PAWL_WATCHERS_MAX);
    const seen_reply *refused = rig_expect(c, ask_read("x", LONG_MS), PAWL_FAILED);
    assert_int_equal(refused->reply.err, PAWL_ERR_STORE_FULL);
    rig_expect(c, ask_read("x", 0), PAWL_REPORTED);
    client_close(c);
}

/* Dropped while it is in use: the next request says so, and the schema is made again. */
static void a_schema_that_was_dropped_is_made_again(void **state)
{
    const char *database = rig_database();
    store_address address = rig_address(database);
    (void)state;
    client *c = client_up(rig_loop(), &address, "a");
    rig_expect(c, ask_acquire("x", fresh_token(), LONG_MS), PAWL_GRANTED);
    rig_sql("DROP DATABASE %s", database);
    const seen_reply *refused =
        rig_expect(c, ask_acquire("x", fresh_token(), LONG_MS), PAWL_FAILED);
    assert_int_equal(pawl_err_class_of(refused->reply.err), PAWL_CLASS_RETRY);
    client_await_link(c, false);
    client_await_link(c, true);
    rig_expect(c, ask_acquire("x", fresh_token(), LONG_MS), PAWL_GRANTED);
    client_close(c);
}

/* Names that nobody uses leave, and those that somebody does stay. */
static void old_names_leave_with_new_ones(void **state)
{
    enum { OLD = 12 };
    const char *database = rig_database(), *held = fresh_token();
    store_address address = rig_address(database);
    char name[16];
    (void)state;
    client *c = client_up(rig_loop(), &address, "a");
    rig_expect(c, ask_acquire("held", held, LONG_MS), PAWL_GRANTED);
    for (int i = 0; i < OLD; i++) {
        const char *token = fresh_token();
        snprintf(name, sizeof name, "old%d", i);
        rig_expect(c, ask_acquire(name, token, LONG_MS), PAWL_GRANTED);
        rig_expect(c, ask_release(name, token), PAWL_RELEASED);
    }
    rig_sql("UPDATE %s.pawl_name SET keep_us = 1", database);
    for (int i = 0; i < OLD; i++) {
        snprintf(name, sizeof name, "new%d", i);
        rig_expect(c, ask_acquire(name, fresh_token(), LONG_MS), PAWL_GRANTED);
    }
    assert_string_equal(
        rig_sql("SELECT COUNT(*) FROM %s.pawl_name WHERE name LIKE 'old%%'", database), "0");
    assert_string_equal(rig_sql("SELECT COUNT(*) FROM %s.pawl_name WHERE name = 'held'", database),
                        "1");
    rig_expect(c, ask_renew("held", held, LONG_MS), PAWL_CONFIRMED);
    client_close(c);
}

/* Asked about a name that is not there, it answers and remembers nothing. */
static void a_name_that_nobody_takes_leaves_no_row(void **state)
{
    const char *database = rig_database();
    store_address address = rig_address(database);
    (void)state;
    client *c = client_up(rig_loop(), &address, "a");
    rig_expect(c, ask_renew("x", fresh_token(), LONG_MS), PAWL_NOT_OWNER);
    rig_expect(c, ask_release("x", fresh_token()), PAWL_NOT_OWNER);
    rig_expect(c, ask_change("x", fresh_token(), PAWL_MODE_SHARED, 1, LONG_MS, 0), PAWL_NOT_OWNER);
    rig_expect(c, ask_publish("x", fresh_token(), "v"), PAWL_NOT_OWNER);
    rig_expect(c, ask_break("x", 1), PAWL_NOT_OWNER);
    assert_string_equal(rig_sql("SELECT COUNT(*) FROM %s.pawl_name", database), "0");
    client_close(c);
}

/* Beyond it doubles and JSON are not exact: an error, and no grant. */
static void the_last_fence_is_the_last(void **state)
{
    const char *database = rig_database(), *token = fresh_token();
    store_address address = rig_address(database);
    (void)state;
    client *c = client_up(rig_loop(), &address, "a");
    rig_expect(c, ask_acquire("x", token, LONG_MS), PAWL_GRANTED);
    rig_expect(c, ask_release("x", token), PAWL_RELEASED);
    rig_sql("UPDATE %s.pawl_name SET fence = 9007199254740992", database);
    const seen_reply *refused = rig_expect(c, ask_acquire("x", token, LONG_MS), PAWL_FAILED);
    assert_int_equal(refused->reply.err, PAWL_ERR_CORRUPT);
    assert_string_equal(rig_sql("SELECT COUNT(*) FROM %s.pawl_hold", database), "0");
    client_close(c);
}

/* Letters that nobody fetches leave, too. */
static void old_letters_leave(void **state)
{
    const char *database = rig_database();
    store_address address = rig_address(database);
    (void)state;
    client_close(client_up(rig_loop(), &address, "a"));
    rig_sql("INSERT INTO %s.pawl_letter (client, kind, fence, awaited, token, name, at_us) VALUES "
            "('nobody', 'g', 1, 0, '', 'x', 1)",
            database);
    client *c = client_up(rig_loop(), &address, "a");
    char count[100];
    snprintf(count, sizeof count, "SELECT COUNT(*) FROM %s.pawl_letter", database);
    rig_until("0", count);
    client_close(c);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(all_who_come_first_at_once_find_it),
        cmocka_unit_test(who_may_not_make_it_is_told_what_to_do),
        cmocka_unit_test(a_schema_of_another_format_is_left_alone),
        cmocka_unit_test(a_schema_without_numbers_gets_them),
        cmocka_unit_test(old_values_leave_with_new_ones),
        cmocka_unit_test(only_so_many_watch_one_name),
        cmocka_unit_test(a_schema_that_was_dropped_is_made_again),
        cmocka_unit_test(old_names_leave_with_new_ones),
        cmocka_unit_test(a_name_that_nobody_takes_leaves_no_row),
        cmocka_unit_test(the_last_fence_is_the_last),
        cmocka_unit_test(old_letters_leave),
    };
    rig_need_server();
    return cmocka_run_group_tests(cases, rig_begin, rig_end);
}
