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
    store_address address = rig_address(rig_schema());
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
    const char *schema = rig_schema(), *token = fresh_token();
    (void)state;
    rig_sql("CREATE ROLE plain LOGIN");
    store_address address = rig_address(schema);
    client *maker, *c;
    address.user = "plain";
    c = client_open(rig_loop(), &address, "a");
    assert_int_equal(rig_await_refusal(c)->err, PAWL_ERR_PERMISSION);
    assert_non_null(strstr(client_link(c, 0)->text, "pawl schema postgres"));
    address.user = "pawl";
    maker = client_up(rig_loop(), &address, "maker");
    rig_sql("GRANT USAGE ON SCHEMA %s TO plain", schema);
    client_await_link(c, true); /* it has tried again by itself */
    const seen_reply *refused = rig_expect(c, ask_acquire("x", token, LONG_MS), PAWL_FAILED);
    assert_int_equal(refused->reply.err, PAWL_ERR_PERMISSION);
    rig_expect(c, ask_doctor(), PAWL_REPORTED);
    assert_int_equal(client_severity(c, "rights"), PAWL_SEVERITY_ERROR);
    assert_int_equal(client_severity(c, "write"), PAWL_SEVERITY_ERROR);
    assert_non_null(strstr(client_error_found(c), "pawl schema postgres"));
    /* What the head of schema.sql says. */
    rig_sql("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %s TO plain", schema);
    rig_sql("GRANT USAGE ON ALL SEQUENCES IN SCHEMA %s TO plain", schema);
    rig_expect(c, ask_acquire("x", token, LONG_MS), PAWL_GRANTED);
    rig_expect(maker, ask_queue("x", fresh_token(), LONG_MS), PAWL_QUEUED);
    rig_expect(c, ask_queue("x", fresh_token(), LONG_MS), PAWL_QUEUED);
    rig_expect(c, ask_release("x", token), PAWL_RELEASED);
    client_close(c);
    client_close(maker);
}

static void a_schema_of_another_format_is_left_alone(void **state)
{
    const char *schema = rig_schema();
    (void)state;
    rig_sql("CREATE SCHEMA %s", schema);
    rig_sql("COMMENT ON SCHEMA %s IS 'pawl format 999'", schema);
    store_address address = rig_address(schema);
    client *c = client_open(rig_loop(), &address, "a");
    assert_int_equal(rig_await_refusal(c)->err, PAWL_ERR_VERSION);
    client_abandon(c);
    assert_string_equal(
        rig_sql("SELECT count(*) FROM pg_class WHERE relnamespace = '%s'::regnamespace", schema),
        "0");
}

/* One that was made before there were values: who may adds what is missing, and loses nothing. */
static void a_schema_without_values_gets_them(void **state)
{
    const char *schema = rig_schema(), *token = fresh_token();
    store_address address = rig_address(schema);
    (void)state;
    client *c = client_up(rig_loop(), &address, "a");
    rig_expect(c, ask_acquire("x", token, LONG_MS), PAWL_GRANTED);
    rig_sql("DROP TABLE %s.value, %s.watch", schema, schema);
    client_close(c);
    c = client_up(rig_loop(), &address, "a");
    rig_expect(c, ask_publish("x", token, "kept"), PAWL_CONFIRMED);
    assert_int_equal(rig_expect(c, ask_read("x", 0), PAWL_REPORTED)->reply.value->len, 4);
    client_close(c);
}

/* One that was made before publications had numbers. A lease that was taken then counts from 0. */
static void a_schema_without_numbers_gets_them(void **state)
{
    const char *schema = rig_schema(), *token = fresh_token();
    store_address address = rig_address(schema);
    (void)state;
    client *c = client_up(rig_loop(), &address, "a");
    rig_expect(c, ask_acquire("x", token, LONG_MS), PAWL_GRANTED);
    client_close(c);
    rig_sql("ALTER TABLE %s.hold DROP COLUMN published", schema);
    rig_sql("DROP PROCEDURE %s.publish(bytea, text, bytea, bigint, bigint, text)", schema);
    rig_sql("CREATE PROCEDURE %s.publish(n bytea, tok text, b bytea, keep bigint, INOUT r text) "
            "LANGUAGE sql AS 'SELECT ''not_owner'''",
            schema);
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
    const char *schema = rig_schema(), *token = fresh_token();
    store_address address = rig_address(schema);
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
    rig_sql("UPDATE %s.value SET until_us = 0", schema);
    rig_sql("UPDATE %s.watch SET until_us = 0", schema);
    for (int i = 0; i < OLD / 4; i++)
        rig_expect(c, ask_publish(name, token, "new"), PAWL_CONFIRMED);
    assert_string_equal(rig_sql("SELECT count(*) FROM %s.value", schema), "1");
    assert_string_equal(rig_sql("SELECT count(*) FROM %s.watch", schema), "0");
    client_close(c);
}

static void only_so_many_watch_one_name(void **state)
{
    const char *schema = rig_schema();
    store_address address = rig_address(schema);
    (void)state;
    client *c = client_up(rig_loop(), &address, "a");
    rig_sql("INSERT INTO %s.watch SELECT 'x', 'client' || i, 9007199254740992 "
            "FROM generate_series(1, %d) i",
            schema, PAWL_WATCHERS_MAX);
    const seen_reply *refused = rig_expect(c, ask_read("x", LONG_MS), PAWL_FAILED);
    assert_int_equal(refused->reply.err, PAWL_ERR_STORE_FULL);
    rig_expect(c, ask_read("x", 0), PAWL_REPORTED);
    client_close(c);
}

/* Dropped while it is in use: the next request says so, and the schema is made again. */
static void a_schema_that_was_dropped_is_made_again(void **state)
{
    const char *schema = rig_schema();
    store_address address = rig_address(schema);
    (void)state;
    client *c = client_up(rig_loop(), &address, "a");
    rig_expect(c, ask_acquire("x", fresh_token(), LONG_MS), PAWL_GRANTED);
    rig_sql("DROP SCHEMA %s CASCADE", schema);
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
    enum { OLD = 30 };
    const char *schema = rig_schema(), *held = fresh_token();
    store_address address = rig_address(schema);
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
    rig_sql("UPDATE %s.name SET keep_us = 0", schema);
    for (int i = 0; i < OLD; i++) {
        snprintf(name, sizeof name, "new%d", i);
        rig_expect(c, ask_acquire(name, fresh_token(), LONG_MS), PAWL_GRANTED);
    }
    assert_string_equal(rig_sql("SELECT count(*) FROM %s.name WHERE name LIKE 'old%%'", schema),
                        "0");
    assert_string_equal(rig_sql("SELECT count(*) FROM %s.name WHERE name = 'held'", schema), "1");
    rig_expect(c, ask_renew("held", held, LONG_MS), PAWL_CONFIRMED);
    client_close(c);
}

/* Beyond it doubles and JSON are not exact: an error, and no grant. */
static void the_last_fence_is_the_last(void **state)
{
    const char *schema = rig_schema(), *token = fresh_token();
    store_address address = rig_address(schema);
    (void)state;
    client *c = client_up(rig_loop(), &address, "a");
    rig_expect(c, ask_acquire("x", token, LONG_MS), PAWL_GRANTED);
    rig_expect(c, ask_release("x", token), PAWL_RELEASED);
    rig_sql("UPDATE %s.name SET fence = 9007199254740992", schema);
    const seen_reply *refused = rig_expect(c, ask_acquire("x", token, LONG_MS), PAWL_FAILED);
    assert_int_equal(refused->reply.err, PAWL_ERR_CORRUPT);
    assert_string_equal(rig_sql("SELECT count(*) FROM %s.hold", schema), "0");
    client_close(c);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(all_who_come_first_at_once_find_it),
        cmocka_unit_test(who_may_not_make_it_is_told_what_to_do),
        cmocka_unit_test(a_schema_of_another_format_is_left_alone),
        cmocka_unit_test(a_schema_without_values_gets_them),
        cmocka_unit_test(a_schema_without_numbers_gets_them),
        cmocka_unit_test(old_values_leave_with_new_ones),
        cmocka_unit_test(only_so_many_watch_one_name),
        cmocka_unit_test(a_schema_that_was_dropped_is_made_again),
        cmocka_unit_test(old_names_leave_with_new_ones),
        cmocka_unit_test(the_last_fence_is_the_last),
    };
    rig_need_server();
    return cmocka_run_group_tests(cases, rig_begin, rig_end);
}
