/* SPDX-License-Identifier: MIT */
/* What the doctor finds, and what is true behind a pooler. */
#define _GNU_SOURCE
#include "rig.h"

#include <stdio.h>
#include <string.h>

static const char *findings(const char *schema)
{
    static char found[8192];
    store_address address = rig_address(schema);
    client *c = client_up(rig_loop(), &address, "a");
    rig_expect(c, ask_doctor(), PAWL_REPORTED);
    snprintf(found, sizeof found, "%s", client_found(c));
    client_close(c);
    return found;
}

static void what_endangers_locks_is_found(void **state)
{
    const char *schema = rig_schema();
    (void)state;
    const char *found = findings(schema);
    assert_non_null(strstr(found, "server: PostgreSQL "));
    assert_non_null(strstr(found, "durability: fsync is off")); /* of this very server */
    assert_non_null(strstr(found, "standby: no standby"));
    assert_non_null(strstr(found, "push: who waits is told"));
    assert_non_null(strstr(found, "clock: "));
    assert_null(strstr(found, "tables: "));
    rig_sql("ALTER TABLE %s.hold SET UNLOGGED", schema);
    rig_sql("ALTER ROLE pawl SET default_transaction_isolation = 'serializable'");
    rig_sql("ALTER ROLE pawl SET statement_timeout = '500ms'");
    rig_sql("ALTER ROLE pawl SET idle_session_timeout = '1h'");
    found = findings(schema);
    rig_sql("ALTER ROLE pawl RESET ALL");
    assert_non_null(strstr(found, "tables: tables of pawl are UNLOGGED"));
    assert_non_null(strstr(found, "isolation: "));
    assert_non_null(strstr(found, "timeouts: statement_timeout"));
    assert_non_null(strstr(found, "timeouts: idle_session_timeout"));
}

/* A lock is taken on trial: what stops it is found, and nothing is left of it. */
static void a_write_is_tried(void **state)
{
    const char *schema = rig_schema();
    (void)state;
    const char *found = findings(schema);
    assert_non_null(strstr(found, "write: a lock was taken on trial, and undone"));
    assert_string_equal(rig_sql("SELECT (SELECT count(*) FROM %s.hold) + (SELECT count(*) FROM "
                                "%s.name)",
                                schema, schema),
                        "0");
    rig_sql("CREATE FUNCTION %s.fill() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE "
            "EXCEPTION 'no space left' USING ERRCODE = '53100'; END $$; "
            "CREATE TRIGGER fill BEFORE INSERT ON %s.hold FOR EACH ROW EXECUTE FUNCTION %s.fill()",
            schema, schema, schema);
    found = findings(schema);
    assert_non_null(strstr(found, "write: postgres in "));
    assert_non_null(strstr(found, "no space left (53100)"));
}

/* ---- Behind a pooler ----------------------------------------------------------------------------
 */

static pid_t start_pooler(const char *directory)
{
    char config[300], users[300], text[2000];
    snprintf(config, sizeof config, "%s", postgres_server_file(rig_server(), "pooler.ini"));
    snprintf(users, sizeof users, "%s", postgres_server_file(rig_server(), "users.txt"));
    snprintf(text, sizeof text,
             "[databases]\n* = host=%s\n[pgbouncer]\nlisten_addr =\nunix_socket_dir = %s\n"
             "auth_type = trust\nauth_file = %s\npool_mode = transaction\ndefault_pool_size = 3\n"
             "ignore_startup_parameters = extra_float_digits\n",
             postgres_server_directory(rig_server()), directory, users);
    FILE *file = fopen(config, "we");
    CHECK(file && fputs(text, file) >= 0 && fclose(file) == 0);
    file = fopen(users, "we");
    CHECK(file && fputs("\"pawl\" \"\"\n", file) >= 0 && fclose(file) == 0);
    const char *const argv[] = {"pgbouncer", config, NULL};
    return postgres_server_spawn(argv, "process up");
}

static void behind_a_pooler_who_waits_asks(void **state)
{
    char directory[200];
    size_t warnings;
    (void)state;
    if (!postgres_server_has("pgbouncer")) skip_case("there is no pgbouncer on this machine");
    postgres_server_directory_new(rig_server(), "pool", directory);
    pid_t pooler = start_pooler(directory);
    store_address address = rig_address(rig_schema());
    client_close(client_up(rig_loop(), &address, "a"));
    address.options[0].value = directory;
    address.options[2] = (pawl_url_option){"port", "6432"};
    address.option_count = 3;
    client *a = client_up(rig_loop(), &address, "a"), *b = client_up(rig_loop(), &address, "b");
    assert_false(client_caps(a)->push);
    assert_non_null(strstr(client_warning(a, &warnings), "pooler"));
    assert_int_equal(warnings, 1);
    for (int i = 0; i < 20; i++) {
        const char *held = fresh_token(), *waiter = fresh_token();
        rig_expect(a, ask_acquire("x", held, LONG_MS), PAWL_GRANTED);
        rig_expect(b, ask_queue("x", waiter, LONG_MS), PAWL_QUEUED);
        rig_expect(a, ask_release("x", held), PAWL_RELEASED);
        rig_expect(a, ask_acquire("x", fresh_token(), LONG_MS), PAWL_BUSY);
        rig_expect(b, ask_queue("x", waiter, LONG_MS), PAWL_GRANTED);
        rig_expect(b, ask_release("x", waiter), PAWL_RELEASED);
    }
    rig_expect(a, ask_doctor(), PAWL_REPORTED);
    assert_non_null(strstr(client_found(a), "push: a pooler is in between"));
    client_close(a);
    client_close(b);
    postgres_server_kill_program(pooler);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(what_endangers_locks_is_found),
        cmocka_unit_test(a_write_is_tried),
        cmocka_unit_test(behind_a_pooler_who_waits_asks),
    };
    rig_need_server();
    return cmocka_run_group_tests(cases, rig_begin, rig_end);
}
