/* SPDX-License-Identifier: MIT */
/*
 * SQLite's own lock as a lock: BEGIN IMMEDIATE with busy_timeout takes the
 * database, COMMIT gives it back, in WAL mode.
 *
 *     sqlite:FILE        an empty transaction: nothing is written, there is no cheaper one
 *     sqlite-fence:FILE  it counts a fence, as hand-written locks on Redis do with INCR
 */
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "../driver/driver.h"

#define BUSY_TIMEOUT_MS 600000

#define SCHEMA                                                                                     \
    "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"                                          \
    "CREATE TABLE IF NOT EXISTS fence(name TEXT PRIMARY KEY, last INTEGER) WITHOUT ROWID;"

typedef struct begin_lock {
    sqlite3 *db;
    sqlite3_stmt *begin, *fence, *commit; /* fence NULL: an empty transaction */
} begin_lock;

static const char *file_of(const char *url, bool *ret_fenced)
{
    *ret_fenced = strncmp(url, "sqlite-fence:", 13) == 0;
    if (*ret_fenced) return url + 13;
    if (strncmp(url, "sqlite:", 7) != 0) bench_die("the URL is sqlite:FILE or sqlite-fence:FILE");
    return url + 7;
}

/* While another process changes to WAL, SQLite is busy at once, whatever the time-out. */
static int set_up(sqlite3 *db)
{
    int rc;
    while ((rc = sqlite3_exec(db, SCHEMA, NULL, NULL, NULL)) == SQLITE_BUSY) sqlite3_sleep(1);
    return rc;
}

static void *begin_connect(const bench_args *args)
{
    bool fenced;
    const char *file = file_of(args->url, &fenced);
    begin_lock *l = calloc(1, sizeof *l);
    if (!l) bench_die("out of memory");
    if (sqlite3_open(file, &l->db) || sqlite3_busy_timeout(l->db, BUSY_TIMEOUT_MS) ||
        set_up(l->db) || sqlite3_prepare_v2(l->db, "BEGIN IMMEDIATE", -1, &l->begin, NULL) ||
        sqlite3_prepare_v2(l->db, "COMMIT", -1, &l->commit, NULL) ||
        (fenced && sqlite3_prepare_v2(l->db,
                                      "INSERT INTO fence VALUES('bench', 1) "
                                      "ON CONFLICT(name) DO UPDATE SET last = last + 1",
                                      -1, &l->fence, NULL))) {
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
    if (l->fence) step(l->db, l->fence);
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
