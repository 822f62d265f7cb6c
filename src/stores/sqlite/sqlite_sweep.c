/* SPDX-License-Identifier: MIT */
/* Rows of names that nobody asks for any more. */
#define _GNU_SOURCE
#include "sqlite_turn.h"

#include <string.h>

#define OLD_SWEEP_MAX 4 /* rows looked at per row added: the table shrinks faster than it grows */

static int delete_row(const pawl__turn *t, const pawl__lock_row *lock)
{
    sqlite3_stmt *st = pawl__sqlite_use_named(t->db, PAWL__ST_LOCK_DELETE, t->name);
    int rc = st ? pawl__sqlite_run(st) : pawl__sqlite_error_of(t->db);
    if (rc == SQLITE_OK) rc = pawl__hold_drop_name(t->db, t->name);
    if (rc != SQLITE_OK || lock->fence <= t->db->host.fence_floor) return rc;
    /* The row's fence goes into the floor (law 3). */
    st = pawl__sqlite_use(t->db, PAWL__ST_HOST_FLOOR);
    if (!st) return pawl__sqlite_error_of(t->db);
    sqlite3_bind_int64(st, 1, (int64_t)lock->fence);
    rc = pawl__sqlite_run(st);
    if (rc == SQLITE_OK) t->db->host.fence_floor = lock->fence;
    return rc;
}

/* Some holders have renewed: the row is looked at again when the last lease ends. */
static int put_off(const pawl__turn *t)
{
    int64_t end;
    int rc = pawl__hold_last_end(t->db, t->name, &end);
    return rc == SQLITE_OK ? pawl__lock_extend(t->db, t->name, end, PAWL__LIVE_DETACHED) : rc;
}

/* It is old if it expired long ago: then its holders and its waiters crashed, or it is free. */
static int clear_if_old(const pawl__turn *t)
{
    pawl__lock_row row;
    pawl__group g;
    int rc = pawl__lock_get(t->db, t->name, &row);
    if (rc != SQLITE_OK || !row.found) return rc;
    int64_t old_at = row.expires_at + PAWL__OLD_KEEP_NS;
    rc = pawl__lock_put_off(t->db, t->name, pawl__instant_max(old_at, t->now + PAWL__OLD_KEEP_NS));
    if (rc != SQLITE_OK || t->now <= old_at) return rc;
    rc = pawl__group_begin(t, &g);
    if (rc != SQLITE_OK) return rc;
    bool was_free = !g.row_held;
    g.is_smaller = true; /* perhaps nobody is left in `hold` */
    rc = pawl__group_finish(t, &g);
    if (rc != SQLITE_OK || (g.lock.held && !g.lock.many)) return rc;
    if (g.lock.many) return put_off(t);
    return was_free ? delete_row(t, &g.lock) : SQLITE_OK;
}

int pawl__sweep_old_rows(const pawl__turn *t)
{
    char names[OLD_SWEEP_MAX][PAWL_NAME_MAX];
    size_t lens[OLD_SWEEP_MAX], count = 0;

    sqlite3_stmt *st = pawl__sqlite_use(t->db, PAWL__ST_LOCK_OLD);
    if (!st) return pawl__sqlite_error_of(t->db);
    sqlite3_bind_int64(st, 1, t->now);
    sqlite3_bind_int(st, 2, OLD_SWEEP_MAX);
    while (count < OLD_SWEEP_MAX && sqlite3_step(st) == SQLITE_ROW) {
        int len = sqlite3_column_bytes(st, 0);
        if (len <= 0 || len > PAWL_NAME_MAX) continue;
        memcpy(names[count], sqlite3_column_blob(st, 0), (size_t)len);
        lens[count++] = (size_t)len;
    }
    int rc = sqlite3_reset(st);
    for (size_t i = 0; i < count && rc == SQLITE_OK; i++) {
        pawl__turn other = *t;
        other.request = NULL;
        other.name = (pawl__name){names[i], lens[i]};
        rc = clear_if_old(&other);
    }
    return rc;
}
