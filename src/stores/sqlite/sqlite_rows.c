/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "sqlite_rows.h"

#include <string.h>

sqlite3_stmt *pawl__sqlite_use_named(pawl__sqlite_db *db, pawl__sqlite_stmt id, pawl__name name)
{
    sqlite3_stmt *st = pawl__sqlite_use(db, id);
    if (!st) return NULL;
    /* An empty name is an empty blob, not NULL: comparisons with NULL find nothing. */
    if (name.len == 0) sqlite3_bind_zeroblob(st, 1, 0);
    if (name.len > 0) sqlite3_bind_blob(st, 1, name.text, (int)name.len, SQLITE_STATIC);
    return st;
}

void pawl__text_put(const char *text, char *ret_text, size_t room)
{
    size_t len = text ? strnlen(text, room - 1) : 0;
    if (len > 0) memcpy(ret_text, text, len);
    ret_text[len] = '\0';
}

void pawl__column_text(sqlite3_stmt *st, int column, char *ret_text, size_t room)
{
    pawl__text_put((const char *)sqlite3_column_text(st, column), ret_text, room);
}

int pawl__sqlite_error_of(const pawl__sqlite_db *db)
{
    int rc = sqlite3_extended_errcode(db->handle);
    return rc != SQLITE_OK && rc != SQLITE_ROW && rc != SQLITE_DONE ? rc : SQLITE_ERROR;
}

pawl_mode pawl__column_mode(sqlite3_stmt *st, int column)
{
    int64_t mode = sqlite3_column_int64(st, column);
    return mode >= 0 && mode <= PAWL_MODE_PERMIT ? (pawl_mode)mode : PAWL_MODE_EXCLUSIVE;
}

uint32_t pawl__column_permits(sqlite3_stmt *st, int column)
{
    int64_t count = sqlite3_column_int64(st, column);
    return count >= 0 && count <= PAWL_CAPACITY_MAX ? (uint32_t)count : PAWL_CAPACITY_MAX + 1;
}

int pawl__sqlite_step_row(pawl__sqlite_db *db, sqlite3_stmt *st)
{
    if (!st) return pawl__sqlite_error_of(db);
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) return rc;
    int reset_rc = sqlite3_reset(st);
    return rc == SQLITE_DONE ? SQLITE_OK : reset_rc;
}

static int run(pawl__sqlite_db *db, sqlite3_stmt *st)
{
    return st ? pawl__sqlite_run(st) : pawl__sqlite_error_of(db);
}

static void bind_text(sqlite3_stmt *st, int at, const char *text)
{
    sqlite3_bind_text(st, at, text, -1, SQLITE_STATIC);
}

/* ---- lock ---------------------------------------------------------------------- */

int pawl__lock_get(pawl__sqlite_db *db, pawl__name name, pawl__lock_row *ret_row)
{
    memset(ret_row, 0, sizeof(*ret_row));
    sqlite3_stmt *st = pawl__sqlite_use_named(db, PAWL__ST_LOCK_GET, name);
    int rc = pawl__sqlite_step_row(db, st);
    if (rc != SQLITE_ROW) return rc;
    ret_row->found = true;
    ret_row->held = sqlite3_column_type(st, 0) != SQLITE_NULL;
    ret_row->many = ret_row->held && sqlite3_column_bytes(st, 0) == 0;
    pawl__column_text(st, 0, ret_row->owner.token, sizeof(ret_row->owner.token));
    pawl__column_text(st, 1, ret_row->owner.client, sizeof(ret_row->owner.client));
    pawl__column_text(st, 2, ret_row->owner.label, sizeof(ret_row->owner.label));
    ret_row->fence = (uint64_t)sqlite3_column_int64(st, 3);
    ret_row->expires_at = sqlite3_column_int64(st, 4);
    ret_row->owner.live = sqlite3_column_int64(st, 5);
    ret_row->owner.pid = sqlite3_column_int64(st, 6);
    ret_row->owner.pid_ns = sqlite3_column_int64(st, 7);
    rc = sqlite3_reset(st);
    /* Not ours: a fence drawn from it would not grow (law 3). */
    bool possible = ret_row->fence <= PAWL__SQLITE_FENCE_MAX && (ret_row->fence || !ret_row->held);
    return rc == SQLITE_OK && !possible ? SQLITE_CORRUPT : rc;
}

int pawl__lock_published(pawl__sqlite_db *db, pawl__name name, uint64_t fence,
                         int64_t *ret_published)
{
    sqlite3_stmt *st = pawl__sqlite_use_named(db, PAWL__ST_LOCK_PUBLISHED, name);
    if (st) sqlite3_bind_int64(st, 2, (int64_t)fence);
    *ret_published = 0;
    int rc = pawl__sqlite_step_row(db, st);
    if (rc != SQLITE_ROW) return rc;
    *ret_published = sqlite3_column_int64(st, 0);
    return sqlite3_reset(st);
}

int pawl__lock_put(pawl__sqlite_db *db, pawl__name name, pawl__lock_row *row)
{
    pawl__sqlite_stmt id = row->found ? PAWL__ST_LOCK_SET : PAWL__ST_LOCK_ADD;
    sqlite3_stmt *st = pawl__sqlite_use_named(db, id, name);
    if (!st) return pawl__sqlite_error_of(db);
    bind_text(st, 2, row->held ? row->owner.token : NULL);
    bind_text(st, 3, row->owner.client);
    bind_text(st, 4, row->owner.label);
    sqlite3_bind_int64(st, 5, (int64_t)row->fence);
    sqlite3_bind_int64(st, 6, row->expires_at);
    sqlite3_bind_int64(st, 7, row->owner.live);
    sqlite3_bind_int64(st, 8, row->owner.pid);
    sqlite3_bind_int64(st, 9, row->owner.pid_ns);
    if (!row->found) sqlite3_bind_int64(st, 10, row->expires_at + PAWL__OLD_KEEP_NS);
    row->found = true;
    int rc = run(db, st);
    /* The row that was taken for known is not there: nothing is written, so nothing is granted. */
    return rc == SQLITE_OK && sqlite3_changes(db->handle) != 1 ? SQLITE_CORRUPT : rc;
}

int pawl__lock_put_off(pawl__sqlite_db *db, pawl__name name, int64_t look_at)
{
    sqlite3_stmt *st = pawl__sqlite_use_named(db, PAWL__ST_LOCK_PUT_OFF, name);
    if (st) sqlite3_bind_int64(st, 2, look_at);
    return run(db, st);
}

int pawl__lock_extend(pawl__sqlite_db *db, pawl__name name, int64_t expires_at, int64_t live)
{
    sqlite3_stmt *st = pawl__sqlite_use_named(db, PAWL__ST_LOCK_EXTEND, name);
    if (!st) return pawl__sqlite_error_of(db);
    sqlite3_bind_int64(st, 2, expires_at);
    sqlite3_bind_int64(st, 3, live);
    return run(db, st);
}

int pawl__lock_free_row(pawl__sqlite_db *db, pawl__name name, int64_t now)
{
    sqlite3_stmt *st = pawl__sqlite_use_named(db, PAWL__ST_LOCK_FREE, name);
    if (st) sqlite3_bind_int64(st, 2, now);
    return run(db, st);
}

/* ---- wait ---------------------------------------------------------------------- */

/* Not ours: it would be granted slots that there are not, or nothing. */
static bool wants_what_there_is(const pawl__wait_row *row)
{
    if (row->mode != PAWL_MODE_PERMIT) return row->units == 0 && row->capacity == 0;
    return row->units > 0 && row->units <= row->capacity && row->capacity <= PAWL_CAPACITY_MAX;
}

static int read_wait(pawl__sqlite_db *db, sqlite3_stmt *st, pawl__wait_row *ret_row)
{
    memset(ret_row, 0, sizeof(*ret_row));
    int rc = pawl__sqlite_step_row(db, st);
    if (rc != SQLITE_ROW) return rc;
    ret_row->found = true;
    ret_row->seq = sqlite3_column_int64(st, 0);
    pawl__column_text(st, 1, ret_row->owner.token, sizeof(ret_row->owner.token));
    pawl__column_text(st, 2, ret_row->owner.client, sizeof(ret_row->owner.client));
    pawl__column_text(st, 3, ret_row->owner.label, sizeof(ret_row->owner.label));
    ret_row->since_at = sqlite3_column_int64(st, 4);
    ret_row->until_at = sqlite3_column_int64(st, 5);
    ret_row->ttl_ns = sqlite3_column_int64(st, 6);
    ret_row->detached = sqlite3_column_int(st, 7) != 0;
    ret_row->owner.live = sqlite3_column_int64(st, 8);
    ret_row->owner.pid = sqlite3_column_int64(st, 9);
    ret_row->owner.pid_ns = sqlite3_column_int64(st, 10);
    ret_row->mode = pawl__column_mode(st, 11);
    ret_row->units = pawl__column_permits(st, 12);
    ret_row->capacity = pawl__column_permits(st, 13);
    rc = sqlite3_reset(st);
    return rc == SQLITE_OK && !wants_what_there_is(ret_row) ? SQLITE_CORRUPT : rc;
}

static int get_by_seq(pawl__sqlite_db *db, pawl__sqlite_stmt id, pawl__name name, int64_t seq,
                      pawl__wait_row *ret_row)
{
    sqlite3_stmt *st = pawl__sqlite_use_named(db, id, name);
    if (st) sqlite3_bind_int64(st, 2, seq);
    return read_wait(db, st, ret_row);
}

int pawl__wait_first(pawl__sqlite_db *db, pawl__name name, int64_t after, pawl__wait_row *ret_row)
{
    return get_by_seq(db, PAWL__ST_WAIT_FIRST, name, after, ret_row);
}

int pawl__wait_before(pawl__sqlite_db *db, pawl__name name, int64_t before, pawl__wait_row *ret_row)
{
    return get_by_seq(db, PAWL__ST_WAIT_BEFORE, name, before, ret_row);
}

int pawl__wait_of(pawl__sqlite_db *db, pawl__name name, const char *token, pawl__wait_row *ret_row)
{
    sqlite3_stmt *st = pawl__sqlite_use_named(db, PAWL__ST_WAIT_OF, name);
    if (st) bind_text(st, 2, token);
    return read_wait(db, st, ret_row);
}

int pawl__wait_add(pawl__sqlite_db *db, pawl__name name, pawl__wait_row *row)
{
    sqlite3_stmt *st = pawl__sqlite_use_named(db, PAWL__ST_WAIT_ADD, name);
    if (!st) return pawl__sqlite_error_of(db);
    bind_text(st, 2, row->owner.token);
    bind_text(st, 3, row->owner.client);
    bind_text(st, 4, row->owner.label);
    sqlite3_bind_int64(st, 5, row->since_at);
    sqlite3_bind_int64(st, 6, row->until_at);
    sqlite3_bind_int64(st, 7, row->ttl_ns);
    sqlite3_bind_int(st, 8, row->detached);
    sqlite3_bind_int64(st, 9, row->owner.live);
    sqlite3_bind_int64(st, 10, row->owner.pid);
    sqlite3_bind_int64(st, 11, row->owner.pid_ns);
    sqlite3_bind_int(st, 12, row->mode);
    sqlite3_bind_int64(st, 13, row->units);
    sqlite3_bind_int64(st, 14, row->capacity);
    int rc = pawl__sqlite_step_row(db, st);
    if (rc != SQLITE_ROW) return rc == SQLITE_OK ? SQLITE_CORRUPT : rc;
    row->seq = sqlite3_column_int64(st, 0);
    row->found = true;
    return sqlite3_reset(st);
}

int pawl__wait_refresh(pawl__sqlite_db *db, pawl__name name, const pawl__wait_row *row)
{
    sqlite3_stmt *st = pawl__sqlite_use_named(db, PAWL__ST_WAIT_REFRESH, name);
    if (!st) return pawl__sqlite_error_of(db);
    sqlite3_bind_int64(st, 2, row->seq);
    sqlite3_bind_int64(st, 3, row->until_at);
    sqlite3_bind_int64(st, 4, row->ttl_ns);
    sqlite3_bind_int(st, 5, row->detached);
    bind_text(st, 6, row->owner.client);
    sqlite3_bind_int64(st, 7, row->owner.live);
    sqlite3_bind_int64(st, 8, row->owner.pid);
    sqlite3_bind_int64(st, 9, row->owner.pid_ns);
    return run(db, st);
}

int pawl__wait_drop(pawl__sqlite_db *db, pawl__name name, int64_t seq)
{
    sqlite3_stmt *st = pawl__sqlite_use_named(db, PAWL__ST_WAIT_DROP, name);
    if (st) sqlite3_bind_int64(st, 2, seq);
    return run(db, st);
}

int pawl__wait_rank(pawl__sqlite_db *db, pawl__name name, int64_t seq, int64_t *ret_rank)
{
    sqlite3_stmt *st = pawl__sqlite_use_named(db, PAWL__ST_WAIT_RANK, name);
    if (st) sqlite3_bind_int64(st, 2, seq);
    int rc = pawl__sqlite_step_row(db, st);
    if (rc != SQLITE_ROW) return rc;
    *ret_rank = sqlite3_column_int64(st, 0);
    return sqlite3_reset(st);
}
