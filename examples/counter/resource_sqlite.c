/* SPDX-License-Identifier: MIT */
#include "resource.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUSY_WAIT_MS 2000 /* longer than any write of another process */

struct resource {
    sqlite3 *db;
    sqlite3_stmt *look, *read, *write;
};

static const char schema[] =
    "PRAGMA journal_mode = WAL;"
    "CREATE TABLE IF NOT EXISTS counter(id INTEGER PRIMARY KEY CHECK(id = 1),"
    " value INTEGER NOT NULL, fence INTEGER NOT NULL);"
    "INSERT OR IGNORE INTO counter VALUES(1, 0, 0);";
static const char look_sql[] = "SELECT value, fence FROM counter";
static const char read_sql[] =
    "UPDATE counter SET fence = ?1 WHERE fence <= ?1 RETURNING value, fence";
static const char write_sql[] =
    "UPDATE counter SET fence = ?1, value = ?2 WHERE fence <= ?1 RETURNING value, fence";

static void sqlite_close(resource *r)
{
    if (!r) return;
    sqlite3_finalize(r->look);
    sqlite3_finalize(r->read);
    sqlite3_finalize(r->write);
    sqlite3_close(r->db);
    free(r);
}

static int prepare(resource *r)
{
    sqlite3_busy_timeout(r->db, BUSY_WAIT_MS);
    int err = sqlite3_exec(r->db, schema, NULL, NULL, NULL);
    if (!err) err = sqlite3_prepare_v2(r->db, look_sql, -1, &r->look, NULL);
    if (!err) err = sqlite3_prepare_v2(r->db, read_sql, -1, &r->read, NULL);
    if (!err) err = sqlite3_prepare_v2(r->db, write_sql, -1, &r->write, NULL);
    return err;
}

static resource *sqlite_open(const char *url, char *ret_message)
{
    const char *path = url + strlen("sqlite:");
    resource *r = calloc(1, sizeof *r);
    if (r && *path && sqlite3_open(path, &r->db) == SQLITE_OK && prepare(r) == SQLITE_OK) return r;
    snprintf(ret_message, RESOURCE_MESSAGE_MAX, "cannot open %.150s: %s", *path ? path : url,
             !*path ? "expected sqlite:PATH"
                    : (r && r->db ? sqlite3_errmsg(r->db) : "out of memory"));
    sqlite_close(r);
    return NULL;
}

/* One row or none; a statement is a transaction of its own. */
static resource_result run(resource *r, sqlite3_stmt *statement, counter_view *ret_view,
                           char *ret_message)
{
    int step = sqlite3_step(statement);
    if (step == SQLITE_ROW) {
        ret_view->value = sqlite3_column_int64(statement, 0);
        ret_view->fence = (uint64_t)sqlite3_column_int64(statement, 1);
        /* RETURNING hands its rows out first: the change is made when it is done */
        if (sqlite3_step(statement) == SQLITE_DONE && sqlite3_reset(statement) == SQLITE_OK)
            return RESOURCE_OK;
        step = SQLITE_ERROR;
    }
    if (step != SQLITE_DONE)
        snprintf(ret_message, RESOURCE_MESSAGE_MAX, "counter: %s", sqlite3_errmsg(r->db));
    sqlite3_reset(statement);
    return step == SQLITE_DONE ? RESOURCE_STALE : RESOURCE_FAILED;
}

static resource_result sqlite_look(resource *r, counter_view *ret_view, char *ret_message)
{
    resource_result result = run(r, r->look, ret_view, ret_message);
    if (result != RESOURCE_STALE) return result;
    snprintf(ret_message, RESOURCE_MESSAGE_MAX, "counter: its row is gone");
    return RESOURCE_FAILED;
}

static resource_result sqlite_read(resource *r, uint64_t fence, int64_t *ret_value,
                                   char *ret_message)
{
    counter_view view;
    sqlite3_bind_int64(r->read, 1, (sqlite3_int64)fence);
    resource_result result = run(r, r->read, &view, ret_message);
    if (result == RESOURCE_OK) *ret_value = view.value;
    return result;
}

static resource_result sqlite_write(resource *r, uint64_t fence, int64_t value, char *ret_message)
{
    counter_view view;
    sqlite3_bind_int64(r->write, 1, (sqlite3_int64)fence);
    sqlite3_bind_int64(r->write, 2, value);
    return run(r, r->write, &view, ret_message);
}

const resource_ops resource_sqlite = {sqlite_open, sqlite_look, sqlite_read, sqlite_write,
                                      sqlite_close};
