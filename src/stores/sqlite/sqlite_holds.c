/* SPDX-License-Identifier: MIT */
/* The rows of `hold`: those who hold a name together. */
#define _GNU_SOURCE
#include "sqlite_rows.h"

#include <string.h>

/* In statements and in the schema, where a partial index wants a number. */
_Static_assert(PAWL_MODE_SHARED == 1, "all but readers are those whose mode is not 1");

/* ---- Reading --------------------------------------------------------------------- */

static void read_slots(sqlite3_stmt *st, int column, pawl__slots *ret_slots)
{
    const void *bits = sqlite3_column_blob(st, column);
    size_t len = (size_t)sqlite3_column_bytes(st, column);
    memset(ret_slots, 0, sizeof(*ret_slots));
    if (bits) memcpy(ret_slots->bits, bits, len < PAWL__SLOT_BYTES ? len : PAWL__SLOT_BYTES);
}

/* Not ours: a fence drawn from it would not grow, or a slot would be given twice. */
static bool is_possible(const pawl__hold_row *row)
{
    uint32_t slots = pawl__slots_count(&row->slots);
    bool is_permit = row->mode == PAWL_MODE_PERMIT;
    if (row->fence == 0 || row->fence > PAWL__SQLITE_FENCE_MAX) return false;
    if (!is_permit) return slots == 0 && row->capacity == 0;
    return slots > 0 && slots == row->units && row->units <= row->capacity &&
           row->capacity <= PAWL_CAPACITY_MAX;
}

static int read_hold(pawl__sqlite_db *db, sqlite3_stmt *st, pawl__hold_row *ret_row)
{
    memset(ret_row, 0, sizeof(*ret_row));
    int rc = pawl__sqlite_step_row(db, st);
    if (rc != SQLITE_ROW) return rc;
    ret_row->found = true;
    ret_row->fence = (uint64_t)sqlite3_column_int64(st, 0);
    pawl__column_text(st, 1, ret_row->owner.token, sizeof(ret_row->owner.token));
    pawl__column_text(st, 2, ret_row->owner.client, sizeof(ret_row->owner.client));
    pawl__column_text(st, 3, ret_row->owner.label, sizeof(ret_row->owner.label));
    ret_row->expires_at = sqlite3_column_int64(st, 4);
    ret_row->owner.live = sqlite3_column_int64(st, 5);
    ret_row->owner.pid = sqlite3_column_int64(st, 6);
    ret_row->owner.pid_ns = sqlite3_column_int64(st, 7);
    ret_row->mode = pawl__column_mode(st, 8);
    ret_row->units = pawl__column_permits(st, 9);
    ret_row->capacity = pawl__column_permits(st, 10);
    ret_row->change = (uint32_t)sqlite3_column_int64(st, 11);
    ret_row->upgrade_until = sqlite3_column_int64(st, 12);
    read_slots(st, 13, &ret_row->slots);
    ret_row->published = sqlite3_column_int64(st, 14);
    rc = sqlite3_reset(st);
    return rc == SQLITE_OK && !is_possible(ret_row) ? SQLITE_CORRUPT : rc;
}

int pawl__hold_of(pawl__sqlite_db *db, pawl__name name, const char *token, pawl__hold_row *ret_row)
{
    sqlite3_stmt *st = pawl__sqlite_use_named(db, PAWL__ST_HOLD_OF, name);
    if (st) sqlite3_bind_text(st, 2, token, -1, SQLITE_STATIC);
    return read_hold(db, st, ret_row);
}

pawl__hold_row pawl__holder_of_lock(const pawl__lock_row *lock)
{
    return (pawl__hold_row){.found = lock->held && !lock->many,
                            .owner = lock->owner,
                            .fence = lock->fence,
                            .expires_at = lock->expires_at,
                            .mode = PAWL_MODE_EXCLUSIVE};
}

int pawl__holder_of(pawl__sqlite_db *db, pawl__name name, const char *token,
                    pawl__hold_row *ret_row)
{
    pawl__lock_row lock;
    int rc = pawl__lock_get(db, name, &lock);
    if (rc == SQLITE_OK && lock.many) return pawl__hold_of(db, name, token, ret_row);
    *ret_row = pawl__holder_of_lock(&lock);
    ret_row->found = ret_row->found && strcmp(ret_row->owner.token, token) == 0; /* law 5 */
    return rc;
}

static int get_by_fence(pawl__sqlite_db *db, pawl__sqlite_stmt id, pawl__name name, uint64_t fence,
                        pawl__hold_row *ret_row)
{
    sqlite3_stmt *st = pawl__sqlite_use_named(db, id, name);
    if (st) sqlite3_bind_int64(st, 2, (int64_t)fence);
    return read_hold(db, st, ret_row);
}

int pawl__hold_after(pawl__sqlite_db *db, pawl__name name, uint64_t after, pawl__hold_row *ret_row)
{
    return get_by_fence(db, PAWL__ST_HOLD_AFTER, name, after, ret_row);
}

int pawl__hold_before(pawl__sqlite_db *db, pawl__name name, uint64_t before,
                      pawl__hold_row *ret_row)
{
    return get_by_fence(db, PAWL__ST_HOLD_BEFORE, name, before, ret_row);
}

int pawl__hold_strong(pawl__sqlite_db *db, pawl__name name, pawl__hold_row *ret_row)
{
    return read_hold(db, pawl__sqlite_use_named(db, PAWL__ST_HOLD_STRONG, name), ret_row);
}

int pawl__hold_first_end(pawl__sqlite_db *db, pawl__name name, pawl__hold_row *ret_row)
{
    return read_hold(db, pawl__sqlite_use_named(db, PAWL__ST_HOLD_FIRST_END, name), ret_row);
}

int pawl__hold_last_end(pawl__sqlite_db *db, pawl__name name, int64_t *ret_end)
{
    sqlite3_stmt *st = pawl__sqlite_use_named(db, PAWL__ST_HOLD_LAST_END, name);
    *ret_end = 0;
    int rc = pawl__sqlite_step_row(db, st);
    if (rc != SQLITE_ROW) return rc;
    *ret_end = sqlite3_column_int64(st, 0);
    return sqlite3_reset(st);
}

int pawl__hold_slots(pawl__sqlite_db *db, pawl__name name, uint32_t capacity,
                     pawl__slots *ret_taken, bool *ret_one)
{
    pawl__slots slots;
    int rc;
    sqlite3_stmt *st = pawl__sqlite_use_named(db, PAWL__ST_HOLD_SLOTS, name);
    if (!st) return pawl__sqlite_error_of(db);
    memset(ret_taken, 0, sizeof(*ret_taken));
    *ret_one = true;
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        read_slots(st, 0, &slots);
        pawl__slots_join(ret_taken, &slots);
        if (pawl__column_permits(st, 1) != capacity) *ret_one = false;
    }
    int reset_rc = sqlite3_reset(st);
    return rc == SQLITE_DONE ? SQLITE_OK : reset_rc;
}

/* ---- Writing --------------------------------------------------------------------- */

static void bind_text(sqlite3_stmt *st, int at, const char *text)
{
    sqlite3_bind_text(st, at, text, -1, SQLITE_STATIC);
}

int pawl__hold_add(pawl__sqlite_db *db, pawl__name name, const pawl__hold_row *row)
{
    sqlite3_stmt *st = pawl__sqlite_use_named(db, PAWL__ST_HOLD_ADD, name);
    if (!st) return pawl__sqlite_error_of(db);
    sqlite3_bind_int64(st, 2, (int64_t)row->fence);
    bind_text(st, 3, row->owner.token);
    bind_text(st, 4, row->owner.client);
    bind_text(st, 5, row->owner.label);
    sqlite3_bind_int64(st, 6, row->expires_at);
    sqlite3_bind_int64(st, 7, row->owner.live);
    sqlite3_bind_int64(st, 8, row->owner.pid);
    sqlite3_bind_int64(st, 9, row->owner.pid_ns);
    sqlite3_bind_int(st, 10, row->mode);
    sqlite3_bind_int64(st, 11, row->units);
    sqlite3_bind_int64(st, 12, row->capacity);
    sqlite3_bind_int64(st, 13, row->change);
    sqlite3_bind_int64(st, 14, row->upgrade_until);
    sqlite3_bind_blob(st, 15, row->slots.bits, (int)(row->capacity + 7) / 8, SQLITE_STATIC);
    sqlite3_bind_int64(st, 16, row->published);
    return pawl__sqlite_run(st);
}

int pawl__hold_put(pawl__sqlite_db *db, pawl__name name, const pawl__hold_row *row)
{
    sqlite3_stmt *st = pawl__sqlite_use_named(db, PAWL__ST_HOLD_PUT, name);
    if (!st) return pawl__sqlite_error_of(db);
    sqlite3_bind_int64(st, 2, (int64_t)row->fence);
    bind_text(st, 3, row->owner.client);
    bind_text(st, 4, row->owner.label);
    sqlite3_bind_int64(st, 5, row->expires_at);
    sqlite3_bind_int64(st, 6, row->owner.live);
    sqlite3_bind_int64(st, 7, row->owner.pid);
    sqlite3_bind_int64(st, 8, row->owner.pid_ns);
    sqlite3_bind_int64(st, 9, row->change);
    sqlite3_bind_int64(st, 10, row->upgrade_until);
    return pawl__sqlite_run(st);
}

int pawl__hold_extend(pawl__sqlite_db *db, pawl__name name, const pawl__hold_row *row)
{
    sqlite3_stmt *st = pawl__sqlite_use_named(db, PAWL__ST_HOLD_EXTEND, name);
    if (!st) return pawl__sqlite_error_of(db);
    sqlite3_bind_int64(st, 2, (int64_t)row->fence);
    sqlite3_bind_int64(st, 3, row->expires_at);
    sqlite3_bind_int64(st, 4, row->owner.live);
    return pawl__sqlite_run(st);
}

int pawl__hold_set_mode(pawl__sqlite_db *db, pawl__name name, const pawl__hold_row *row)
{
    sqlite3_stmt *st = pawl__sqlite_use_named(db, PAWL__ST_HOLD_MODE, name);
    if (!st) return pawl__sqlite_error_of(db);
    sqlite3_bind_int64(st, 2, (int64_t)row->fence);
    sqlite3_bind_int(st, 3, row->mode);
    return pawl__sqlite_run(st);
}

int pawl__hold_drop(pawl__sqlite_db *db, pawl__name name, uint64_t fence)
{
    sqlite3_stmt *st = pawl__sqlite_use_named(db, PAWL__ST_HOLD_DROP, name);
    if (!st) return pawl__sqlite_error_of(db);
    sqlite3_bind_int64(st, 2, (int64_t)fence);
    return pawl__sqlite_run(st);
}

int pawl__hold_drop_name(pawl__sqlite_db *db, pawl__name name)
{
    sqlite3_stmt *st = pawl__sqlite_use_named(db, PAWL__ST_HOLD_DROP_NAME, name);
    return st ? pawl__sqlite_run(st) : pawl__sqlite_error_of(db);
}
