/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static postgres_server *server;
static test_loop *the_loop;

void rig_need_server(void)
{
    rig_need(postgres_server_exists(), "there is no PostgreSQL on this machine");
}

void rig_begin_with(const char *const *settings)
{
    server = postgres_server_start(settings);
    the_loop = test_loop_new();
}

int rig_begin(void **state)
{
    (void)state;
    rig_begin_with(NULL);
    return 0;
}

int rig_end(void **state)
{
    (void)state;
    test_loop_free(the_loop);
    postgres_server_stop(server);
    return 0;
}

postgres_server *rig_server(void)
{
    return server;
}

test_loop *rig_loop(void)
{
    return the_loop;
}

const char *rig_schema(void)
{
    static char names[64][24];
    static unsigned count;
    CHECK(count < 64);
    snprintf(names[count], sizeof names[0], "pawl_%u", count);
    return names[count++];
}

store_address rig_address(const char *schema)
{
    store_address address = {.ops = &pawl_store_entry,
                             .scheme = "postgres",
                             .user = "pawl",
                             .path = "/postgres",
                             .options = {{"host", postgres_server_directory(server)}},
                             .option_count = 1};
    if (schema) address.options[address.option_count++] = (pawl_url_option){"schema", schema};
    return address;
}

static void ignore(void *arg, const char *notice)
{
    (void)arg, (void)notice;
}

PGconn *rig_connect(void)
{
    const char *keywords[] = {"host", "user", "dbname", NULL};
    const char *values[] = {postgres_server_directory(server), "pawl", "postgres", NULL};
    PGconn *conn = PQconnectdbParams(keywords, values, 0);
    PQsetNoticeProcessor(conn, ignore, NULL);
    if (PQstatus(conn) != CONNECTION_OK) FAIL_TEST("%s", PQerrorMessage(conn));
    return conn;
}

const char *rig_sql(const char *format, ...)
{
    static char value[4096];
    char sql[4096];
    va_list args;
    va_start(args, format);
    vsnprintf(sql, sizeof sql, format, args);
    va_end(args);
    PGconn *conn = rig_connect();
    PGresult *result = PQexec(conn, sql);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
        FAIL_TEST("%s: %s", sql, PQerrorMessage(conn));
    bool has_value = status == PGRES_TUPLES_OK && PQntuples(result) > 0 && PQnfields(result) > 0;
    snprintf(value, sizeof value, "%s", has_value ? PQgetvalue(result, 0, 0) : "");
    PQclear(result);
    PQfinish(conn);
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
