/* SPDX-License-Identifier: MIT */
/* The statements of an open database: each is prepared when it is used first, and kept. */
#include "sqlite_db.h"

static const char *const statement_texts[PAWL__ST_COUNT] = {
#define STATEMENT_TEXT(id, sql) sql,
    PAWL__SQLITE_STATEMENTS(STATEMENT_TEXT)
#undef STATEMENT_TEXT
};

/* What it writes may be what is kept. */
static void forget_kept(pawl__sqlite_db *db, pawl__sqlite_stmt id)
{
    if (id <= PAWL__ST_ROLLBACK || sqlite3_stmt_readonly(db->statements[id])) return;
    db->kept.has_lock = false;
    if (id >= PAWL__ST_HOST_BOOT && id <= PAWL__ST_HOST_CEILING) db->kept.has_host = false;
}

sqlite3_stmt *pawl__sqlite_use(pawl__sqlite_db *db, pawl__sqlite_stmt id)
{
    sqlite3_stmt **slot = &db->statements[id];
    if (*slot)
        sqlite3_reset(*slot);
    else if (sqlite3_prepare_v3(db->handle, statement_texts[id], -1, SQLITE_PREPARE_PERSISTENT,
                                slot, NULL) != SQLITE_OK)
        *slot = NULL;
    if (*slot) forget_kept(db, id);
    return *slot;
}

int pawl__sqlite_run(sqlite3_stmt *statement)
{
    int rc;
    if (!statement) return SQLITE_ERROR;
    while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
    }
    int reset_rc = sqlite3_reset(statement);
    return rc == SQLITE_DONE ? SQLITE_OK : (reset_rc != SQLITE_OK ? reset_rc : rc);
}

int pawl__sqlite_run_simple(pawl__sqlite_db *db, pawl__sqlite_stmt id)
{
    sqlite3_stmt *st = pawl__sqlite_use(db, id);
    return st ? pawl__sqlite_run(st) : sqlite3_extended_errcode(db->handle);
}

int pawl__sqlite_run_int(pawl__sqlite_db *db, pawl__sqlite_stmt id, int64_t value)
{
    sqlite3_stmt *st = pawl__sqlite_use(db, id);
    if (!st) return sqlite3_extended_errcode(db->handle);
    sqlite3_bind_int64(st, 1, value);
    return pawl__sqlite_run(st);
}
