/* SPDX-License-Identifier: MIT */
/*
 * What PostgreSQL has by itself: prepared statements over a connection that lives as long as the
 * lock.
 *
 *     advisory:CONNINFO     pg_advisory_lock and its unlock, of the session: nothing is written
 *     advisory-fence:CONNINFO  the same, and who has the lock counts a fence in a row: the least
 *                           that writes something for each turn, and lets nobody wait in vain
 *     skip-locked:CONNINFO  a row that somebody has by SELECT ... FOR UPDATE SKIP LOCKED in an open
 *                           transaction; who does not get it looks again after a millisecond.
 *                           Nothing is written, and the lock ends with the connection
 *     skip-lease:CONNINFO   the same row as a lease, with no transaction open: who finds it free or
 *                           over writes a token, a fence and an end, and takes them out again. Like
 *                           pawl but for the order, in which nobody stands
 *     bare:CONNINFO         two statements that write who has the name, and its fence, and take it
 *                           out again: no question, no queue, for one client
 */
#define _GNU_SOURCE
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../driver/driver.h"

#define POLL_NS 1000000

/* One transaction: of those who come at once, the others wait until it is committed. */
#define SCHEMA                                                                                     \
    "SET client_min_messages = warning;"                                                           \
    "SELECT pg_advisory_xact_lock(1);"                                                             \
    "CREATE TABLE IF NOT EXISTS bench_name(name text PRIMARY KEY, fence bigint NOT NULL)"          \
    " WITH (fillfactor = 50);"                                                                     \
    "CREATE TABLE IF NOT EXISTS bench_hold(name text PRIMARY KEY, token text NOT NULL,"            \
    " until timestamptz NOT NULL);"                                                                \
    "CREATE TABLE IF NOT EXISTS bench_lease(name text PRIMARY KEY, fence bigint NOT NULL,"         \
    " token text, until timestamptz) WITH (fillfactor = 50)"

/* $1: the name. NULL: there is none. */
typedef struct kind {
    const char *scheme, *begin, *take, *count, *give;
    bool polls;
} kind;

static const kind kinds[] = {
    {.scheme = "advisory:",
     .take = "SELECT pg_advisory_lock(hashtextextended($1, 0))",
     .give = "SELECT pg_advisory_unlock(hashtextextended($1, 0))"},
    {.scheme = "advisory-fence:",
     .take = "SELECT pg_advisory_lock(hashtextextended($1, 0))",
     .count = "UPDATE bench_name SET fence = fence + 1 WHERE name = $1 RETURNING fence",
     .give = "SELECT pg_advisory_unlock(hashtextextended($1, 0))"},
    {.scheme = "skip-locked:",
     .begin = "BEGIN",
     .take = "SELECT fence FROM bench_name WHERE name = $1 FOR UPDATE SKIP LOCKED",
     .polls = true},
    {.scheme = "skip-lease:",
     .take = "UPDATE bench_lease SET fence = fence + 1, token = 'token',"
             " until = clock_timestamp() + '30s'"
             " WHERE name = (SELECT name FROM bench_lease WHERE name = $1"
             " AND (token IS NULL OR until < clock_timestamp()) FOR UPDATE SKIP LOCKED)"
             " RETURNING fence",
     .give = "UPDATE bench_lease SET token = NULL WHERE name = $1 AND token = 'token' RETURNING 1",
     .polls = true},
    {.scheme = "bare:",
     .take = "WITH f AS (UPDATE bench_name SET fence = fence + 1 WHERE name = $1 RETURNING fence)"
             " INSERT INTO bench_hold SELECT $1, 'token', clock_timestamp() + '30s' FROM f"
             " RETURNING until",
     .give = "DELETE FROM bench_hold WHERE name = $1 AND token = 'token' RETURNING until"},
};

typedef struct connection {
    PGconn *pg;
    const kind *kind;
} connection;

typedef struct row_lock {
    connection *connection;
    char name[64];
} row_lock;

/* How many rows it has. */
static int rows_of(PGconn *pg, PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
        bench_die("postgres: %s", PQerrorMessage(pg));
    int rows = PQntuples(result);
    PQclear(result);
    return rows;
}

static int execute(const row_lock *l, const char *statement)
{
    const char *const values[] = {l->name};
    PGconn *pg = l->connection->pg;
    return rows_of(pg, PQexecPrepared(pg, statement, 1, values, NULL, NULL, 0));
}

static void prepare(PGconn *pg, const char *name, const char *sql)
{
    if (sql) (void)rows_of(pg, PQprepare(pg, name, sql, 1, NULL));
}

static void *advisory_connect(const bench_args *args)
{
    connection *c = calloc(1, sizeof *c);
    if (!c) bench_die("out of memory");
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strncmp(args->url, kinds[i].scheme, strlen(kinds[i].scheme)) == 0) c->kind = &kinds[i];
    if (!c->kind) bench_die("the scheme of %s is not known", args->url);
    c->pg = PQconnectdb(args->url + strlen(c->kind->scheme));
    if (PQstatus(c->pg) != CONNECTION_OK) bench_die("postgres: %s", PQerrorMessage(c->pg));
    (void)rows_of(c->pg, PQexec(c->pg, SCHEMA));
    prepare(c->pg, "take", c->kind->take);
    prepare(c->pg, "count", c->kind->count);
    prepare(c->pg, "give", c->kind->give);
    return c;
}

static void *advisory_lock_new(void *userdata, const char *name)
{
    static const char *const rows[] = {
        "INSERT INTO bench_name VALUES($1, 0) ON CONFLICT DO NOTHING",
        "INSERT INTO bench_lease VALUES($1, 0) ON CONFLICT DO NOTHING"};
    row_lock *l = calloc(1, sizeof *l);
    if (!l) bench_die("out of memory");
    l->connection = userdata;
    snprintf(l->name, sizeof l->name, "%s", name);
    const char *const values[] = {l->name};
    PGconn *pg = l->connection->pg;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        (void)rows_of(pg, PQexecParams(pg, rows[i], 1, NULL, values, NULL, NULL, 0));
    return l;
}

static void advisory_acquire(void *lock)
{
    const row_lock *l = lock;
    const kind *k = l->connection->kind;
    if (k->begin) (void)rows_of(l->connection->pg, PQexec(l->connection->pg, k->begin));
    while (execute(l, "take") != 1) {
        if (!k->polls) bench_die("postgres: the name was not free");
        bench_sleep_until(bench_now_ns() + POLL_NS);
    }
    if (k->count) (void)execute(l, "count");
}

static void advisory_release(void *lock)
{
    const row_lock *l = lock;
    if (l->connection->kind->give)
        (void)execute(l, "give");
    else
        (void)rows_of(l->connection->pg, PQexec(l->connection->pg, "COMMIT"));
}

static const bench_driver driver = {
    .name = "advisory",
    .connect = advisory_connect,
    .lock = advisory_lock_new,
    .acquire = advisory_acquire,
    .release = advisory_release,
};

int main(int argc, char **argv)
{
    return bench_main(&driver, argc, argv);
}
