/* SPDX-License-Identifier: MIT */
/* What the doctor finds. */
#define _GNU_SOURCE
#include "rig.h"

#include <stdio.h>
#include <string.h>

static const char *findings(const char *database)
{
    static char found[8192];
    store_address address = rig_address(database);
    client *c = client_up(rig_loop(), &address, "a");
    rig_expect(c, ask_doctor(), PAWL_REPORTED);
    snprintf(found, sizeof found, "%s", client_found(c));
    client_close(c);
    return found;
}

static void what_endangers_locks_is_found(void **state)
{
    const char *database = rig_database();
    (void)state;
    const char *found = findings(database);
    assert_non_null(strstr(found, "server: MariaDB "));
    assert_non_null(strstr(found, "innodb_flush_log_at_trx_commit is not 1")); /* of this server */
    assert_non_null(strstr(found, "durability: "));
    assert_non_null(strstr(found, "replica: no replica"));
    assert_non_null(strstr(found, "push: who waits is told"));
    assert_non_null(strstr(found, "of 400 connections"));
    assert_non_null(strstr(found, "clock: "));
    assert_null(strstr(found, "tables: "));
    rig_sql("ALTER TABLE %s.pawl_broken ENGINE = MyISAM", database);
    rig_sql("SET GLOBAL innodb_flush_log_at_trx_commit=1");
    rig_sql("SET GLOBAL max_connections=10");
    found = findings(database);
    rig_sql("SET GLOBAL innodb_flush_log_at_trx_commit=2");
    rig_sql("SET GLOBAL max_connections=400");
    assert_null(strstr(found, "is not 1"));
    assert_non_null(strstr(found, "tables: tables of pawl are not InnoDB"));
    assert_non_null(strstr(found, "of 10 connections"));
}

/* A lock is taken on trial: what stops it is found, and nothing is left of it. */
static void a_write_is_tried(void **state)
{
    const char *database = rig_database();
    (void)state;
    const char *found = findings(database);
    assert_non_null(strstr(found, "write: a lock was taken on trial, and undone"));
    assert_string_equal(
        rig_sql("SELECT (SELECT COUNT(*) FROM %s.pawl_hold) + (SELECT COUNT(*) FROM "
                "%s.pawl_name) + (SELECT COUNT(*) FROM %s.pawl_watch)",
                database, database, database),
        "0");
    rig_sql("CREATE TRIGGER %s.fill BEFORE INSERT ON %s.pawl_hold FOR EACH ROW SIGNAL SQLSTATE "
            "'HY000' SET MYSQL_ERRNO = 1021, MESSAGE_TEXT = 'no space left'",
            database, database);
    found = findings(database);
    assert_non_null(strstr(found, "write: mysql://"));
    assert_non_null(strstr(found, "no space left (1021)"));
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(what_endangers_locks_is_found),
        cmocka_unit_test(a_write_is_tried),
    };
    rig_need_server();
    return cmocka_run_group_tests(cases, rig_begin, rig_end);
}
