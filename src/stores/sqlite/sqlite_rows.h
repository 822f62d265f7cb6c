/* SPDX-License-Identifier: MIT */
/* Rows as structs. Every function returns an SQLite result; run inside a transaction. */
#ifndef PAWL_SQLITE_ROWS_H
#define PAWL_SQLITE_ROWS_H

#include "sqlite_db.h"
#include "sqlite_slots.h"

/* A free lock's row serves `show` for a minute. */
#define PAWL__OLD_KEEP_NS INT64_C(60000000000)

typedef struct pawl__name {
    const char *text;
    size_t len;
} pawl__name;

/* One of several holders of a name; or the only holder, if it has changed its mode. */
typedef struct pawl__hold_row {
    bool found;
    pawl__owner owner;
    uint64_t fence;
    int64_t expires_at;
    pawl_mode mode;
    uint32_t units, capacity; /* of permits */
    uint32_t change;          /* the latest that was carried out (rule 10) */
    int64_t upgrade_until;    /* the end of the place in which it waits for an upgrade; 0: none */
    pawl__slots slots;
    int64_t published; /* the latest that was carried out (rule 12) */
} pawl__hold_row;

typedef struct pawl__wait_row {
    bool found;
    int64_t seq;
    pawl__owner owner;
    int64_t since_at, until_at, ttl_ns;
    bool detached; /* the lease will not be tied to the process */
    pawl_mode mode;
    uint32_t units, capacity; /* of permits */
} pawl__wait_row;

int pawl__lock_get(pawl__sqlite_db *db, pawl__name name, pawl__lock_row *ret_row);
/* Adds the row, or writes it anew; row->found says which, and is true then. */
int pawl__lock_put(pawl__sqlite_db *db, pawl__name name, pawl__lock_row *row);
/* The row is not looked at before, to see whether anybody still needs it. */
int pawl__lock_put_off(pawl__sqlite_db *db, pawl__name name, int64_t look_at);
int pawl__lock_extend(pawl__sqlite_db *db, pawl__name name, int64_t expires_at, int64_t live);
int pawl__lock_free_row(pawl__sqlite_db *db, pawl__name name, int64_t now);

/*
 * Of the holders in `hold`: the one with the token; the first with a larger fence; the last with a
 * smaller one; the last that is not a reader; the one whose lease ends first. (sqlite_holds.c)
 */
int pawl__hold_of(pawl__sqlite_db *db, pawl__name name, const char *token, pawl__hold_row *ret_row);
int pawl__hold_after(pawl__sqlite_db *db, pawl__name name, uint64_t after, pawl__hold_row *ret_row);
int pawl__hold_before(pawl__sqlite_db *db, pawl__name name, uint64_t before,
                      pawl__hold_row *ret_row);
int pawl__hold_strong(pawl__sqlite_db *db, pawl__name name, pawl__hold_row *ret_row);
int pawl__hold_first_end(pawl__sqlite_db *db, pawl__name name, pawl__hold_row *ret_row);
/* When the last lease of them ends; 0: there is none. */
int pawl__hold_last_end(pawl__sqlite_db *db, pawl__name name, int64_t *ret_end);
/* All slots that are taken; *ret_one: all belong to a semaphore of that capacity. */
int pawl__hold_slots(pawl__sqlite_db *db, pawl__name name, uint32_t capacity,
                     pawl__slots *ret_taken, bool *ret_one);

/* The number of the latest publication of an exclusive lock's lease; 0: none. */
int pawl__lock_published(pawl__sqlite_db *db, pawl__name name, uint64_t fence,
                         int64_t *ret_published);

/* The only holder, in the form of a row of `hold`. */
pawl__hold_row pawl__holder_of_lock(const pawl__lock_row *lock);
/* The holder with the token, alone or not, as its row says. */
int pawl__holder_of(pawl__sqlite_db *db, pawl__name name, const char *token,
                    pawl__hold_row *ret_row);

int pawl__hold_add(pawl__sqlite_db *db, pawl__name name, const pawl__hold_row *row);
/* Writes what may change while the fence stays, except the mode; only the end of the lease; only
 * the mode. */
int pawl__hold_put(pawl__sqlite_db *db, pawl__name name, const pawl__hold_row *row);
int pawl__hold_extend(pawl__sqlite_db *db, pawl__name name, const pawl__hold_row *row);
int pawl__hold_set_mode(pawl__sqlite_db *db, pawl__name name, const pawl__hold_row *row);
int pawl__hold_drop(pawl__sqlite_db *db, pawl__name name, uint64_t fence);
int pawl__hold_drop_name(pawl__sqlite_db *db, pawl__name name);

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
/* Steps to at most one row. SQLITE_ROW: read it, then reset. NULL gives pawl__sqlite_error_of. */
int pawl__sqlite_step_row(pawl__sqlite_db *db, sqlite3_stmt *st);
/* A number as a mode. An unknown number, written by somebody else, allows nobody beside it. */
pawl_mode pawl__column_mode(sqlite3_stmt *st, int column);
/* A count of permits; one that cannot be is PAWL_CAPACITY_MAX + 1. */
uint32_t pawl__column_permits(sqlite3_stmt *st, int column);
/* Copies a text, cut to what fits; NULL is empty. The same of a text column. */
void pawl__text_put(const char *text, char *ret_text, size_t room);
void pawl__column_text(sqlite3_stmt *st, int column, char *ret_text, size_t room);

#endif
