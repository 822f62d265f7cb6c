/* SPDX-License-Identifier: MIT */
#include "resource.h"

#include <errno.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#define BUSY_PATIENCE_MS 10000 /* a writer may be stopped for a while */

enum { BEGIN, COMMIT, ROLLBACK, TOUCH, READ, WRITE, READ_PLAIN, WRITE_PLAIN, NOTE, STATEMENTS };

static const char *const statements[STATEMENTS] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
    /* A read that a later write depends on registers its fence, too. */
    [TOUCH] = "UPDATE number SET fence = ?2 WHERE lock = ?1 AND fence <= ?2",
    [READ] = "SELECT value FROM number WHERE lock = ?1",
    [WRITE] = "UPDATE number SET fence = ?2, value = ?3 WHERE lock = ?1 AND fence <= ?2",
    [READ_PLAIN] = "SELECT plain FROM number WHERE lock = ?1",
    [WRITE_PLAIN] = "UPDATE number SET plain = ?3 WHERE lock = ?1",
    [NOTE] = "INSERT INTO journal(lock, kind, fence, value, who) VALUES(?1, ?4, ?2, ?3, ?5)",
};

struct torture_resource {
    sqlite3 *db;
    sqlite3_stmt *steps[STATEMENTS];
    char who[32];
};

static bool fail(sqlite3 *db, const char *path)
{
    torture_say("%s: %s", path, db ? sqlite3_errmsg(db) : "out of memory");
    sqlite3_close(db);
    return false;
}

/* It is needed for this run only, so a power cut does not matter; a kill does no harm. */
static sqlite3 *open_db(const char *path, int flags)
{
    sqlite3 *db = NULL;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | flags, NULL) != SQLITE_OK ||
        sqlite3_busy_timeout(db, BUSY_PATIENCE_MS) != SQLITE_OK ||
        sqlite3_exec(db, "PRAGMA synchronous = OFF", NULL, NULL, NULL) != SQLITE_OK) {
        fail(db, path);
        return NULL;
    }
    return db;
}

bool torture_resource_create(const char *path, int locks)
{
    char text[160];
    sqlite3 *db = open_db(path, SQLITE_OPEN_CREATE);
    if (!db) return false;
    bool fine = sqlite3_exec(db,
                             "PRAGMA journal_mode = WAL;"
                             "CREATE TABLE number(lock INTEGER PRIMARY KEY, fence INTEGER, value "
                             "INTEGER, plain INTEGER);"
                             "CREATE TABLE journal(at INTEGER PRIMARY KEY, lock INTEGER, kind "
                             "TEXT, fence INTEGER, value INTEGER, who TEXT)",
                             NULL, NULL, NULL) == SQLITE_OK;
    for (int lock = 0; fine && lock < locks; lock++) {
        snprintf(text, sizeof text, "INSERT INTO number VALUES(%d, 0, 0, 0)", lock);
        fine = sqlite3_exec(db, text, NULL, NULL, NULL) == SQLITE_OK;
    }
    if (!fine) return fail(db, path);
    sqlite3_close(db);
    return true;
}

torture_resource *torture_resource_open(const char *path, const char *who)
{
    torture_resource *r = calloc(1, sizeof *r);
    if (!r || !(r->db = open_db(path, 0))) {
        free(r);
        return NULL;
    }
    snprintf(r->who, sizeof r->who, "%s", who);
    for (int i = 0; i < STATEMENTS; i++) {
        if (sqlite3_prepare_v2(r->db, statements[i], -1, &r->steps[i], NULL) == SQLITE_OK) continue;
        torture_say("%s: %s", path, sqlite3_errmsg(r->db));
        torture_resource_close(r);
        return NULL;
    }
    return r;
}

void torture_resource_close(torture_resource *resource)
{
    for (int i = 0; i < STATEMENTS; i++) sqlite3_finalize(resource->steps[i]);
    sqlite3_close(resource->db);
    free(resource);
}

/* ---- One step of a transaction ------------------------------------------------------------ */

typedef struct row {
    int lock;
    uint64_t fence;
    int64_t value;
    const char *kind;
} row;

static bool step(torture_resource *r, int which, const row *w, int64_t *ret_value)
{
    sqlite3_stmt *s = r->steps[which];
    int most = sqlite3_bind_parameter_count(s);
    if (most >= 1) sqlite3_bind_int(s, 1, w->lock);
    if (most >= 2) sqlite3_bind_int64(s, 2, (sqlite3_int64)w->fence);
    if (most >= 3) sqlite3_bind_int64(s, 3, w->value);
    if (most >= 4) sqlite3_bind_text(s, 4, w->kind, -1, SQLITE_STATIC);
    if (most >= 5) sqlite3_bind_text(s, 5, r->who, -1, SQLITE_STATIC);
    int code = sqlite3_step(s);
    if (code == SQLITE_ROW && ret_value) *ret_value = sqlite3_column_int64(s, 0);
    sqlite3_reset(s);
    return code == SQLITE_DONE || code == SQLITE_ROW;
}

/* Two steps as one change; the second only if the first touched the row. */
static torture_outcome change(torture_resource *r, const row *w, int first, int second,
                              int64_t *ret_value)
{
    if (!step(r, BEGIN, w, NULL)) return TORTURE_UNSURE;
    bool fine = step(r, first, w, NULL);
    bool late = fine && sqlite3_changes(r->db) == 0;
    if (fine && !late) fine = step(r, second, w, ret_value);
    if (fine && step(r, COMMIT, w, NULL)) return late ? TORTURE_LATE : TORTURE_DONE;
    step(r, ROLLBACK, w, NULL);
    return TORTURE_UNSURE;
}

torture_outcome torture_resource_read(torture_resource *resource, int lock, uint64_t fence,
                                      int64_t *ret_value)
{
    return change(resource, &(row){lock, fence, 0, NULL}, TOUCH, READ, ret_value);
}

torture_outcome torture_resource_write(torture_resource *resource, int lock, uint64_t fence,
                                       int64_t value)
{
    return change(resource, &(row){lock, fence, value, "fenced"}, WRITE, NOTE, NULL);
}

torture_outcome torture_resource_read_plain(torture_resource *resource, int lock,
                                            int64_t *ret_value)
{
    bool fine = step(resource, READ_PLAIN, &(row){.lock = lock}, ret_value);
    return fine ? TORTURE_DONE : TORTURE_UNSURE;
}

torture_outcome torture_resource_write_plain(torture_resource *resource, int lock, uint64_t fence,
                                             int64_t value)
{
    return change(resource, &(row){lock, fence, value, "plain"}, WRITE_PLAIN, NOTE, NULL);
}

/* ---- The journal ---------------------------------------------------------------------------- */

static int dump_row(void *file, int columns, char **values, char **names)
{
    (void)columns;
    (void)names;
    return fprintf(file, "%s %s %s %s %s\n", values[0], values[1], values[2], values[3],
                   values[4]) < 0;
}

bool torture_resource_dump(const char *path, const char *to)
{
    sqlite3 *db = open_db(path, 0);
    FILE *file = db ? fopen(to, "we") : NULL;
    if (!file) {
        torture_say("%s: %s", to, strerror(errno));
        sqlite3_close(db);
        return false;
    }
    bool fine = sqlite3_exec(db, "SELECT lock, kind, fence, value, who FROM journal ORDER BY at",
                             dump_row, file, NULL) == SQLITE_OK;
    if (!fine) torture_say("%s: %s", path, sqlite3_errmsg(db));
    sqlite3_close(db);
    return fclose(file) == 0 && fine;
}
