/* SPDX-License-Identifier: MIT */
/* The tutorial's lock on a table: SET NX PX is an upsert of what is absent or expired. */
#define _GNU_SOURCE
#include "demo.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

struct demo_lock {
    sqlite3 *db;
    sqlite3_stmt *set_nx_px;
    sqlite3_stmt *del;
    const char *name;
};

#define BUSY_WAIT_MS 10000

static const char table[] =
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
    "CREATE TABLE IF NOT EXISTS tutorial"
    " (key TEXT PRIMARY KEY, value TEXT NOT NULL, expires_ms INTEGER NOT NULL);";
static const char set_nx_px[] =
    "INSERT INTO tutorial VALUES (?1, 'token', ?2 + ?3)"
    " ON CONFLICT (key) DO UPDATE SET value = 'token', expires_ms = ?2 + ?3"
    " WHERE tutorial.expires_ms <= ?2";
static const char del[] = "DELETE FROM tutorial WHERE key = ?1";

static bool fail(demo_lock *lock, const char *what)
{
    demo_say("the tutorial's table: %s: %s", what, sqlite3_errmsg(lock->db));
    return false;
}

static void close_lock(demo_lock *lock)
{
    if (!lock) return;
    sqlite3_finalize(lock->set_nx_px);
    sqlite3_finalize(lock->del);
    sqlite3_close(lock->db);
    free(lock);
}

static bool prepare(demo_lock *lock, const char *path)
{
    if (sqlite3_open(path, &lock->db) != SQLITE_OK) return fail(lock, path);
    sqlite3_busy_timeout(lock->db, BUSY_WAIT_MS);
    if (sqlite3_exec(lock->db, table, NULL, NULL, NULL) != SQLITE_OK) return fail(lock, "create");
    if (sqlite3_prepare_v2(lock->db, set_nx_px, -1, &lock->set_nx_px, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(lock->db, del, -1, &lock->del, NULL) != SQLITE_OK) {
        return fail(lock, "prepare");
    }
    return true;
}

static demo_lock *open_lock(const demo_config *config, int *ret_code)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/tutorial.db", config->dir);
    demo_lock *lock = calloc(1, sizeof *lock);
    if (lock) lock->name = config->name;
    if (lock && prepare(lock, path)) return lock;
    close_lock(lock);
    *ret_code = DEMO_UNAVAILABLE;
    return NULL;
}

/* Runs a statement to its end; *ret_changed: whether a row was written. */
static bool run(demo_lock *lock, sqlite3_stmt *statement, bool *ret_changed)
{
    int rc = sqlite3_step(statement);
    *ret_changed = rc == SQLITE_DONE && sqlite3_changes(lock->db) > 0;
    sqlite3_reset(statement);
    return rc == SQLITE_DONE || fail(lock, "step");
}

static bool acquire(demo_lock *lock)
{
    for (bool ours = false;;) {
        sqlite3_bind_text(lock->set_nx_px, 1, lock->name, -1, SQLITE_STATIC);
        sqlite3_bind_int64(lock->set_nx_px, 2, demo_now() / 1000000);
        sqlite3_bind_int64(lock->set_nx_px, 3, DEMO_TTL_MS);
        if (!run(lock, lock->set_nx_px, &ours)) return false;
        if (ours) return true;
        demo_tutorial_pause();
    }
}

static bool work(demo_lock *lock, int64_t span_ms)
{
    (void)lock;
    demo_sleep_ms(span_ms);
    return true; /* it never learns of a loss */
}

static bool release(demo_lock *lock)
{
    bool existed = false;
    sqlite3_bind_text(lock->del, 1, lock->name, -1, SQLITE_STATIC);
    return run(lock, lock->del, &existed);
}

const demo_algorithm demo_tutorial_sqlite = {
    .title = "tutorial",
    .open = open_lock,
    .acquire = acquire,
    .work = work,
    .release = release,
    .close = close_lock,
};
