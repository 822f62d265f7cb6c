/* SPDX-License-Identifier: MIT */
/*
 * SQLite's own lock as a lock: BEGIN IMMEDIATE with busy_timeout takes the
 * database, COMMIT gives it back. An empty transaction, in WAL mode: nothing is
 * written, so there is no cheaper one. URL: sqlite:FILE.
 */
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "../driver/driver.h"

#define BUSY_TIMEOUT_MS 600000

typedef struct begin_lock {
    sqlite3 *db;
    sqlite3_stmt *begin, *commit;
} begin_lock;

static void *begin_connect(const bench_args *args)
{
    begin_lock *l = calloc(1, sizeof *l);
    if (!l || strncmp(args->url, "sqlite:", 7) != 0) bench_die("the URL is sqlite:FILE");
    if (sqlite3_open(args->url + 7, &l->db) || sqlite3_busy_timeout(l->db, BUSY_TIMEOUT_MS) ||
        sqlite3_exec(l->db, "PRAGMA journal_mode=WAL; CREATE TABLE IF NOT EXISTS t(x)", NULL, NULL,
                     NULL) ||
        sqlite3_prepare_v2(l->db, "BEGIN IMMEDIATE", -1, &l->begin, NULL) ||
        sqlite3_prepare_v2(l->db, "COMMIT", -1, &l->commit, NULL)) {
        bench_die("sqlite: %s", sqlite3_errmsg(l->db));
    }
    return l;
}

static void *begin_lock_new(void *connection, const char *name)
{
    (void)name; /* one database, one lock */
    return connection;
}

static void step(sqlite3 *db, sqlite3_stmt *statement)
{
    if (sqlite3_step(statement) != SQLITE_DONE) bench_die("sqlite: %s", sqlite3_errmsg(db));
    sqlite3_reset(statement);
}

static void begin_acquire(void *lock)
{
    begin_lock *l = lock;
    step(l->db, l->begin);
}

static void begin_release(void *lock)
{
    begin_lock *l = lock;
    step(l->db, l->commit);
}

static const bench_driver driver = {
    .name = "begin",
    .connect = begin_connect,
    .lock = begin_lock_new,
    .acquire = begin_acquire,
    .release = begin_release,
};

int main(int argc, char **argv)
{
    return bench_main(&driver, argc, argv);
}
