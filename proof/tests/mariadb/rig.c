/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static mariadb_server *server;
static test_loop *the_loop;

void rig_need_server(void)
{
    rig_need(mariadb_server_exists(), "there is no MariaDB on this machine");
}

int rig_begin_with(const char *const *settings)
{
    server = mariadb_server_start(settings);
    the_loop = test_loop_new();
    return 0;
}

int rig_begin(void **state)
{
    (void)state;
    return rig_begin_with(NULL);
}

int rig_end(void **state)
{
    (void)state;
    test_loop_free(the_loop);
    mariadb_server_stop(server);
    return 0;
}

mariadb_server *rig_server(void)
{
    return server;
}

test_loop *rig_loop(void)
{
    return the_loop;
}

const char *rig_database(void)
{
    static char names[64][24];
    static unsigned count;
    CHECK(count < 64);
    snprintf(names[count], sizeof names[0], "/pawl_%u", count);
    return names[count++] + 1;
}

/* rig_database has left room for the slash of a path. */
store_address rig_address(const char *database)
{
    return (store_address){.ops = &pawl_store_entry,
                           .scheme = "mysql",
                           .user = "root",
                           .path = database - 1,
                           .options = {{"socket", mariadb_server_socket(server)}},
                           .option_count = 1};
}

MYSQL *rig_connect(void)
{
    MYSQL *mysql = mysql_init(NULL);
    CHECK(mysql != NULL);
    if (!mysql_real_connect(mysql, NULL, "root", NULL, NULL, 0, mariadb_server_socket(server),
                            CLIENT_MULTI_RESULTS))
        FAIL_TEST("%s", mysql_error(mysql));
    return mysql;
}

static const char *run(MYSQL *mysql, const char *sql)
{
    static char value[8192];
    value[0] = '\0';
    if (mysql_query(mysql, sql) != 0) FAIL_TEST("%s: %s", sql, mysql_error(mysql));
    do {
        MYSQL_RES *rows = mysql_store_result(mysql);
        MYSQL_ROW row = rows ? mysql_fetch_row(rows) : NULL;
        if (row) snprintf(value, sizeof value, "%s", row[0] ? row[0] : "");
        mysql_free_result(rows);
    } while (mysql_next_result(mysql) == 0);
    return value;
}

const char *rig_run(MYSQL *mysql, const char *format, ...)
{
    char sql[4096];
    va_list args;
    va_start(args, format);
    vsnprintf(sql, sizeof sql, format, args);
    va_end(args);
    return run(mysql, sql);
}

const char *rig_sql(const char *format, ...)
{
    char sql[4096];
    va_list args;
    va_start(args, format);
    vsnprintf(sql, sizeof sql, format, args);
    va_end(args);
    MYSQL *mysql = rig_connect();
    const char *value = run(mysql, sql);
    mysql_close(mysql);
    return value;
}

void rig_until(const char *value, const char *sql)
{
    int64_t start = host_now();
    while (strcmp(rig_sql("%s", sql), value) != 0) {
        if (host_now() - start > PATIENCE_MS * INT64_C(1000000))
            FAIL_TEST("%s: not %s", sql, value);
        test_loop_for(the_loop, 1);
    }
}
