/* SPDX-License-Identifier: MIT */
/* The schema: who makes it, who may not, what is left in its tables, and what its errors mean. */
#define _GNU_SOURCE
#include "rig.h"

#include "stores/postgres/postgres_error.h"

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

static PGresult *raise_error(PGconn *connection, const char *code)
{
    char sql[200];
    snprintf(sql, sizeof sql,
             "DO $$ BEGIN RAISE EXCEPTION E'its\\nwords' USING ERRCODE = '%s'; END $$", code);
    PGresult *result = PQexec(connection, sql);
    assert_int_equal(PQresultStatus(result), PGRES_FATAL_ERROR);
    return result;
}

/* The codes are those of the server's list; each is raised there. */
static void each_error_of_the_server_is_classed(void **state)
{
    enum { DONE_PERHAPS = 1, NOT_DONE = 0 };
    enum { ELSEWHERE = 1, STAYS = 0 }; /* whether the connection is given up for another one */
    static const struct {
        const char *code;
        int err, maybe_done, reconnect;
        const char *advice;
    } known[] = {
        {"40001", PAWL_ERR_STORE_BUSY, NOT_DONE, STAYS,
         ""}, /* two transactions in each other's way */
        {"40P01", PAWL_ERR_STORE_BUSY, NOT_DONE, STAYS, ""}, /* a deadlock */
        {"55P03", PAWL_ERR_STORE_BUSY, NOT_DONE, STAYS, ""},
        {"57014", PAWL_ERR_STORE_BUSY, DONE_PERHAPS, STAYS, ""},
        {"26000", PAWL_ERR_STORE_BUSY, NOT_DONE, STAYS, ""},
        {"42P05", PAWL_ERR_STORE_BUSY, NOT_DONE, STAYS, ""},
        {"25006", PAWL_ERR_READONLY, NOT_DONE, ELSEWHERE, "; connect to the primary"},
        {"25P03", PAWL_ERR_STORE_BUSY, DONE_PERHAPS, ELSEWHERE, ""},
        {"42501", PAWL_ERR_PERMISSION, NOT_DONE, STAYS,
         "; pawl schema postgres prints the rights that a user needs"},
        {"28P01", PAWL_ERR_AUTH, NOT_DONE, STAYS, ""},
        {"3D000", PAWL_ERR_URL, NOT_DONE, STAYS, ""},
        {"3F000", PAWL_ERR_UNAVAILABLE, NOT_DONE, ELSEWHERE, ""},
        {"42P01", PAWL_ERR_UNAVAILABLE, NOT_DONE, ELSEWHERE, ""},
        {"42883", PAWL_ERR_UNAVAILABLE, NOT_DONE, ELSEWHERE, ""},
        {"42703", PAWL_ERR_VERSION, NOT_DONE, ELSEWHERE, "; is the schema that of another pawl?"},
        {"53100", PAWL_ERR_STORE_FULL, NOT_DONE, STAYS, ""},
        {"53300", PAWL_ERR_STORE_BUSY, NOT_DONE, STAYS, ""},
        {"54000", PAWL_ERR_STORE_FULL, NOT_DONE, STAYS, ""},
        {"57P03", PAWL_ERR_LOADING, DONE_PERHAPS, ELSEWHERE, ""},
        {"57P01", PAWL_ERR_UNAVAILABLE, DONE_PERHAPS, ELSEWHERE, ""},
        {"57P05", PAWL_ERR_UNAVAILABLE, DONE_PERHAPS, ELSEWHERE, ""},
        {"XX001", PAWL_ERR_CORRUPT, DONE_PERHAPS, STAYS, ""},
        {"XX002", PAWL_ERR_CORRUPT, DONE_PERHAPS, STAYS, ""},
        {"XX000", PAWL_ERR_STORE_BUSY, DONE_PERHAPS, STAYS, ""},
        {"08006", PAWL_ERR_UNAVAILABLE, DONE_PERHAPS, ELSEWHERE, ""},
        {"58030", PAWL_ERR_UNAVAILABLE, DONE_PERHAPS, ELSEWHERE, ""},
        {"23505", PAWL_ERR_STORE_BUSY, NOT_DONE, STAYS, ""},
        {"PW014", PAWL_ERR_CORRUPT, NOT_DONE, STAYS, ""}, /* raised by the schema */
        {"PW036", PAWL_ERR_CAPACITY, NOT_DONE, STAYS, ""},
        {"PW000", PAWL_ERR_PROTOCOL, NOT_DONE, STAYS, ""},
        {"22012", PAWL_ERR_PROTOCOL, DONE_PERHAPS, STAYS, ""}, /* of which pawl knows nothing */
    };
    char message[PAWL_MESSAGE_MAX], expected[PAWL_MESSAGE_MAX];
    PGconn *connection = rig_connect();
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        PGresult *result = raise_error(connection, known[i].code);
        pawl__postgres_trouble trouble = pawl__postgres_explain("x", result, message);
        if (trouble.err != known[i].err || trouble.maybe_done != known[i].maybe_done ||
            trouble.reconnect != known[i].reconnect)
            fail_msg("error %s: %s, maybe done %d, connects anew %d", known[i].code,
                     pawl_err_name(trouble.err), trouble.maybe_done, trouble.reconnect);
        snprintf(expected, sizeof expected, "x: the server says: its?words (%s)%s", known[i].code,
                 known[i].advice);
        assert_string_equal(message, expected);
        PQclear(result);
    }
    PGresult *lost = PQmakeEmptyPGresult(connection, PGRES_FATAL_ERROR); /* libpq's own */
    pawl__postgres_trouble trouble = pawl__postgres_explain("x", lost, message);
    assert_int_equal(trouble.err, PAWL_ERR_UNAVAILABLE);
    assert_true(trouble.maybe_done && trouble.reconnect);
    assert_non_null(strstr(message, "(no code)"));
    PQclear(lost);
    PQfinish(connection);
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
        cmocka_unit_test(each_error_of_the_server_is_classed),
    };
    rig_need_server();
    return cmocka_run_group_tests(cases, rig_begin, rig_end);
}
