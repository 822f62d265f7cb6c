/* SPDX-License-Identifier: MIT */
/* Rows as structs. Every function returns an SQLite result; run inside a transaction. */
#ifndef PAWL_SQLITE_ROWS_H
#define PAWL_SQLITE_ROWS_H

#include "sqlite_db.h"

typedef struct pawl__name {
    const char *text;
    size_t len;
} pawl__name;

/* Whoever holds or waits: the token, where pushes go, how to see that the process is dead. */
typedef struct pawl__owner {
    char token[PAWL_TOKEN_LEN + 1];
    char client[PAWL__CLIENT_ID_LEN + 1];
    char label[PAWL_OWNER_MAX + 1];
    int64_t live, pid, pid_ns;
} pawl__owner;

typedef struct pawl__lock_row {
    bool held; /* as it stands in the row: it may have expired, its holder may be dead */
    pawl__owner owner;
    uint64_t fence; /* the last one drawn, 0: none known */
    int64_t expires_at;
} pawl__lock_row;

typedef struct pawl__wait_row {
    bool found;
    int64_t seq;
    pawl__owner owner;
    int64_t since_at, until_at, ttl_ns;
    bool detached; /* the lease will not be tied to the process */
} pawl__wait_row;

int pawl__lock_get(pawl__sqlite_db *db, pawl__name name, pawl__lock_row *ret_row);
int pawl__lock_put(pawl__sqlite_db *db, pawl__name name, const pawl__lock_row *row);
int pawl__lock_extend(pawl__sqlite_db *db, pawl__name name, int64_t expires_at, int64_t live);
int pawl__lock_free_row(pawl__sqlite_db *db, pawl__name name, int64_t now);

/* The first waiter with seq > after; the last with seq < before; the one with the token. */
int pawl__wait_first(pawl__sqlite_db *db, pawl__name name, int64_t after, pawl__wait_row *ret_row);
int pawl__wait_before(pawl__sqlite_db *db, pawl__name name, int64_t before,
                      pawl__wait_row *ret_row);
int pawl__wait_of(pawl__sqlite_db *db, pawl__name name, const char *token, pawl__wait_row *ret_row);

/* Appends; sets row->seq. */
int pawl__wait_add(pawl__sqlite_db *db, pawl__name name, pawl__wait_row *row);
int pawl__wait_refresh(pawl__sqlite_db *db, pawl__name name, const pawl__wait_row *row);
int pawl__wait_drop(pawl__sqlite_db *db, pawl__name name, int64_t seq);
int pawl__wait_rank(pawl__sqlite_db *db, pawl__name name, int64_t seq, int64_t *ret_rank);

/* Why pawl__sqlite_use gave NULL: never SQLITE_OK. */
int pawl__sqlite_error_of(const pawl__sqlite_db *db);
/* A statement with the name bound to ?1; NULL on error. */
sqlite3_stmt *pawl__sqlite_use_named(pawl__sqlite_db *db, pawl__sqlite_stmt id, pawl__name name);
/* Copies a text column, cut to what fits. */
void pawl__column_text(sqlite3_stmt *st, int column, char *ret_text, size_t room);

#endif
