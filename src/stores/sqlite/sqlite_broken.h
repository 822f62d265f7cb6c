/* SPDX-License-Identifier: MIT */
/* Notes of who broke which lease (rule 13 of pawl/store.h). */
#ifndef PAWL_SQLITE_BROKEN_H
#define PAWL_SQLITE_BROKEN_H

#include "sqlite_rows.h"

typedef struct pawl__broken_row {
    bool found;
    char by[PAWL_OWNER_MAX + 1];
    uint64_t fence;
    int64_t at;
} pawl__broken_row;

/* Notes that the holder's lease is being broken. Also drops the notes whose time is over. */
int pawl__break_add(pawl__sqlite_db *db, pawl__name name, const pawl__hold_row *holder,
                    const char *by, int64_t now);
/* The latest note of the name; the note of this token. */
int pawl__break_latest(pawl__sqlite_db *db, pawl__name name, int64_t now,
                       pawl__broken_row *ret_row);
int pawl__break_of(pawl__sqlite_db *db, pawl__name name, const char *token, int64_t now,
                   pawl__broken_row *ret_row);

#endif
