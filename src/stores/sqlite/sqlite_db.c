/* SPDX-License-Identifier: MIT */
/*
 * Transactions on an open database.
 *
 * Durability. synchronous=NORMAL does not wait for the disk at each commit: a
 * power cut may lose the latest ones. For leases that is right, since
 * everybody who held one died with the power, and the boot id says so. For
 * fences it is not (law 3): a fence that was handed out must never come again. So
 * `fence_ceiling` lies above every fence in use and does wait for the disk, once
 * per several minutes; after a reboot fences start from it.
 */
#define _GNU_SOURCE
#include "sqlite_db.h"

#include "../../base/instant.h"
#include "../../base/random.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define BUSY_SLEEP_MIN_NS  (50 * PAWL__NS_PER_US) /* a transaction lasts about this long */
#define BUSY_SLEEP_MAX_NS  (1 * PAWL__NS_PER_MS)
#define BUSY_SLEEP_LONG_NS (5 * PAWL__NS_PER_MS) /* somebody is stuck: wait longer */
#define BUSY_HURRY_TRIES   64
#define CEILING_AHEAD_US   UINT64_C(600000000) /* one wait for the disk in ten minutes */
#define CHECKPOINT_PAGES   1000                /* copy the log back beyond 2 MB */
#define AGAIN_PAGES        250                 /* and try again after so many more */
#define LEAVE_PAGES        64                  /* the last process may leave so many in the log */
#define WAL_KEEP_BYTES     "4194304"           /* what a log file keeps when it starts over */
#define RESTART_PAGES      2000                /* beyond 4 MB the log has to start over */
#define RESTART_WAIT_NS    (20 * PAWL__NS_PER_MS)

/* ---- Waiting for others -------------------------------------------------------- */

/* SQLite asks whether to try again. Sleeps a short, random time, until busy_until. */
int pawl__sqlite_on_busy(void *ctx, int tries)
{
    pawl__sqlite_db *db = ctx;
    int64_t left = db->busy_until - pawl__sqlite_clock_local();
    if (db->impatient || left <= 0 || atomic_load(db->stop)) return 0;
    if (pawl__sqlite_gate_is_wanted()) {
        db->gave_way = true; /* the caller leaves the gate, and asks again */
        return 0;
    }
    int64_t sleep_ns = BUSY_SLEEP_MIN_NS << (tries < 7 ? tries : 7);
    if (sleep_ns > BUSY_SLEEP_MAX_NS) sleep_ns = BUSY_SLEEP_MAX_NS;
    if (tries > BUSY_HURRY_TRIES) sleep_ns = BUSY_SLEEP_LONG_NS;
    sleep_ns = pawl__random_jitter(&db->random, sleep_ns);
    if (sleep_ns > left) sleep_ns = left;
    struct timespec t = {.tv_nsec = (long)sleep_ns};
    nanosleep(&t, NULL);
    return 1;
}

/* ---- Transactions -------------------------------------------------------------- */

static void keep_nothing(pawl__sqlite_db *db)
{
    db->kept.has_host = db->kept.has_lock = false;
}

/* Every commit, also of another connection, changes it. 0: SQLite does not say. */
static unsigned data_version(const pawl__sqlite_db *db)
{
    unsigned version = 0;
    int rc = sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_DATA_VERSION, &version);
    return rc == SQLITE_OK ? version : 0;
}

int pawl__sqlite_begin_write(pawl__sqlite_db *db)
{
    int rc = pawl__sqlite_run_simple(db, PAWL__ST_BEGIN_WRITE);
    if (rc != SQLITE_OK) return rc;
    if (db->kept.data_version == 0 || db->kept.data_version != data_version(db)) keep_nothing(db);
    rc = pawl__sqlite_host_follow(db);
    if (rc != SQLITE_OK) pawl__sqlite_rollback(db);
    return rc;
}

int pawl__sqlite_begin_read(pawl__sqlite_db *db)
{
    int rc = pawl__sqlite_run_simple(db, PAWL__ST_BEGIN_READ);
    if (rc != SQLITE_OK) return rc;
    rc = pawl__sqlite_host_read(db);
    if (rc == SQLITE_OK && db->looks_only) rc = pawl__sqlite_host_look(db);
    if (rc != SQLITE_OK) pawl__sqlite_rollback(db);
    return rc;
}

int pawl__sqlite_commit(pawl__sqlite_db *db)
{
    int rc = pawl__sqlite_host_promise(db);
    if (rc == SQLITE_OK) rc = pawl__sqlite_run_simple(db, PAWL__ST_COMMIT);
    if (rc == SQLITE_OK)
        db->kept.data_version = data_version(db);
    else
        pawl__sqlite_rollback(db);
    return rc;
}

void pawl__sqlite_rollback(pawl__sqlite_db *db)
{
    keep_nothing(db);
    if (!sqlite3_get_autocommit(db->handle)) (void)pawl__sqlite_run_simple(db, PAWL__ST_ROLLBACK);
}

int pawl__sqlite_raise_ceiling(pawl__sqlite_db *db, uint64_t fence)
{
    /* The pragma cannot change inside a transaction. */
    int rc = sqlite3_exec(db->handle, "PRAGMA synchronous = FULL", NULL, NULL, NULL);
    if (rc == SQLITE_OK) rc = pawl__sqlite_begin_write(db);
    if (rc == SQLITE_OK) {
        rc = pawl__sqlite_run_int(db, PAWL__ST_HOST_CEILING, (int64_t)(fence + CEILING_AHEAD_US));
        if (rc == SQLITE_OK) rc = pawl__sqlite_commit(db);
        if (rc != SQLITE_OK) pawl__sqlite_rollback(db);
    }
    (void)sqlite3_exec(db->handle, "PRAGMA synchronous = NORMAL", NULL, NULL, NULL);
    return rc;
}

/* The ceiling goes up by a microsecond. */
int pawl__sqlite_touch(pawl__sqlite_db *db)
{
    uint64_t ceiling = db->host.fence_ceiling;
    return pawl__sqlite_raise_ceiling(
        db, ceiling < CEILING_AHEAD_US ? 0 : ceiling + 1 - CEILING_AHEAD_US);
}

/* How long the log's file stays when the log starts over. It is set only here, because most
 * programs never copy the log. */
static void keep_log_short(const pawl__sqlite_db *db)
{
    (void)sqlite3_exec(db->handle, "PRAGMA journal_size_limit = " WAL_KEEP_BYTES, NULL, NULL, NULL);
}

/*
 * The next process would read the whole log before its first transaction, and short-lived programs
 * open the database often. So the last process that closes it shortens the log. SQLite finds out
 * which one is the last.
 */
void pawl__sqlite_checkpoint_if_last(const pawl__sqlite_db *db)
{
    if (db->wal_pages < LEAVE_PAGES || !pawl__sqlite_db_has_index(db)) return;
    keep_log_short(db);
    sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
}

bool pawl__sqlite_is_checkpoint_due(const pawl__sqlite_db *db)
{
    return db->wal_pages >= CHECKPOINT_PAGES && db->wal_pages >= db->copied_pages + AGAIN_PAGES;
}

/*
 * The passive kind stops nobody, but under constant writing it hardly ever catches up with the
 * log's end, so that the log cannot start over. Then the other kind keeps writers out while it
 * copies the little that the passive one left. Each try waits for the disk two or three times, so
 * they are some pages apart.
 */
void pawl__sqlite_checkpoint(pawl__sqlite_db *db)
{
    int pages = db->wal_pages;
    if (!pawl__sqlite_is_checkpoint_due(db)) return;
    db->wal_pages = 0;
    if (!pawl__sqlite_db_has_index(db)) return; /* its next commit will find that, too */
    db->copied_pages = pages;
    db->busy_until = pawl__sqlite_clock_local() + RESTART_WAIT_NS;
    keep_log_short(db);
    int rc = sqlite3_wal_checkpoint_v2(db->handle, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    if (rc != SQLITE_OK || pages < RESTART_PAGES) return;
    (void)sqlite3_wal_checkpoint_v2(db->handle, NULL, SQLITE_CHECKPOINT_RESTART, NULL, NULL);
}

bool pawl__sqlite_make_room(pawl__sqlite_db *db)
{
    db->wal_pages = 0;
    db->busy_until = pawl__sqlite_clock_local() + RESTART_WAIT_NS;
    if (!pawl__sqlite_db_has_index(db)) return false;
    return sqlite3_wal_checkpoint_v2(db->handle, NULL, SQLITE_CHECKPOINT_RESTART, NULL, NULL) ==
           SQLITE_OK;
}

/* ---- Errors -------------------------------------------------------------------- */

static pawl_err err_of_result(const pawl__sqlite_db *db, int rc)
{
    int number = db->handle ? sqlite3_system_errno(db->handle) : 0;
    switch (rc & 0xFF) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_INTERRUPT:
        return PAWL_ERR_STORE_BUSY;
    case SQLITE_READONLY:
        return PAWL_ERR_READONLY;
    case SQLITE_FULL:
        return PAWL_ERR_STORE_FULL;
    case SQLITE_ERROR: /* our own statements fail: a table is missing, or is not ours */
    case SQLITE_SCHEMA:
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return PAWL_ERR_CORRUPT;
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return PAWL_ERR_PERMISSION;
    case SQLITE_NOMEM:
        return PAWL_ERR_NO_MEMORY;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        return number ? pawl__sqlite_err_of_errno(number) : PAWL_ERR_SYSTEM;
    }
    return PAWL_ERR_INTERNAL;
}

void pawl__sqlite_fault_of(const pawl__sqlite_db *db, int rc, pawl__sqlite_fault *ret_fault)
{
    const char *path = db->path;
    int number = db->handle ? sqlite3_system_errno(db->handle) : 0;
    ret_fault->err = err_of_result(db, rc);
    ret_fault->final = ret_fault->err == PAWL_ERR_READONLY;
    switch (ret_fault->err) {
    case PAWL_ERR_STORE_BUSY:
        pawl__sqlite_say(ret_fault->message,
                         "%s: another process kept the database locked for the whole time", path);
        return;
    case PAWL_ERR_STORE_FULL:
        pawl__sqlite_say(ret_fault->message, "%s: no room left to write", path);
        return;
    case PAWL_ERR_CORRUPT:
        pawl__sqlite_say(ret_fault->message, "%s is damaged or no database: %s", path,
                         sqlite3_errstr(rc));
        return;
    case PAWL_ERR_READONLY:
    case PAWL_ERR_PERMISSION:
        if (pawl__sqlite_path_check_writable(path, ret_fault->message) != 0) return;
        break;
    default:
        break;
    }
    if (rc == PAWL__SQLITE_OTHER_BOOT || rc == PAWL__SQLITE_REPLACED) {
        *ret_fault = db->refusal;
        return;
    }
    pawl__sqlite_say(ret_fault->message, "%s: %s%s%s", path, sqlite3_errstr(rc), number ? ": " : "",
                     number ? strerror(number) : "");
}
