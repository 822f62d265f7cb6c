/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "sqlite_broken.h"

#include "../../base/instant.h"

#include <string.h>

static int add(pawl__sqlite_db *db, pawl__name name, const pawl__hold_row *holder, const char *by,
               int64_t now)
{
    int64_t until = pawl__instant_add(now, pawl__ms_to_ns(PAWL_BROKEN_KEEP_MS));
    sqlite3_stmt *st = pawl__sqlite_use_named(db, PAWL__ST_BROKEN_ADD, name);
    if (!st) return pawl__sqlite_error_of(db);
    sqlite3_bind_text(st, 2, holder->owner.token, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 3, by ? by : "", -1, SQLITE_STATIC);
    sqlite3_bind_int64(st, 4, (int64_t)holder->fence);
    sqlite3_bind_int64(st, 5, now);
    sqlite3_bind_int64(st, 6, holder->expires_at > until ? holder->expires_at : until);
    return pawl__sqlite_run(st);
}

static int drop_oldest(pawl__sqlite_db *db, pawl__name name)
{
    sqlite3_stmt *st = pawl__sqlite_use_named(db, PAWL__ST_BROKEN_DROP, name);
    if (!st) return pawl__sqlite_error_of(db);
    sqlite3_bind_int(st, 2, PAWL_BROKEN_MAX);
    return pawl__sqlite_run(st);
}

int pawl__break_add(pawl__sqlite_db *db, pawl__name name, const pawl__hold_row *holder,
                    const char *by, int64_t now)
{
    int rc = pawl__sqlite_run_int(db, PAWL__ST_BROKEN_DROP_OLD, now);
    if (rc == SQLITE_OK) rc = add(db, name, holder, by, now);
    return rc == SQLITE_OK ? drop_oldest(db, name) : rc;
}

/* The name is bound to ?1, the instant to ?2. */
static int get(pawl__sqlite_db *db, sqlite3_stmt *st, int64_t now, pawl__broken_row *ret_row)
{
    memset(ret_row, 0, sizeof(*ret_row));
    if (!st) return pawl__sqlite_error_of(db);
    sqlite3_bind_int64(st, 2, now);
    ret_row->found = sqlite3_step(st) == SQLITE_ROW;
    if (ret_row->found) {
        pawl__column_text(st, 0, ret_row->by, sizeof(ret_row->by));
        ret_row->fence = (uint64_t)sqlite3_column_int64(st, 1);
        ret_row->at = sqlite3_column_int64(st, 2);
    }
    return sqlite3_reset(st);
}

int pawl__break_latest(pawl__sqlite_db *db, pawl__name name, int64_t now, pawl__broken_row *ret_row)
{
    return get(db, pawl__sqlite_use_named(db, PAWL__ST_BROKEN_LATEST, name), now, ret_row);
}

int pawl__break_of(pawl__sqlite_db *db, pawl__name name, const char *token, int64_t now,
                   pawl__broken_row *ret_row)
{
    sqlite3_stmt *st = pawl__sqlite_use_named(db, PAWL__ST_BROKEN_OF, name);
    if (st) sqlite3_bind_text(st, 3, token, -1, SQLITE_STATIC);
    return get(db, st, now, ret_row);
}
