/* SPDX-License-Identifier: MIT */
/*
 * Values beside names, and who watches them: rule 12 of pawl/store.h. They have tables of their
 * own, made by the first request that needs them, so that a database without values is what it
 * was. Their times are those of the wall clock: a value outlives a boot, unlike a lease.
 */
#define _GNU_SOURCE
#include "sqlite_value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SWEEP_MAX "4" /* values that are over, cleared by one request */

static const char tables[] = "CREATE TABLE IF NOT EXISTS value("
                             " name BLOB PRIMARY KEY,"
                             " bytes BLOB NOT NULL,"
                             " fence INTEGER NOT NULL,"
                             " at_us INTEGER NOT NULL,"
                             " until_us INTEGER NOT NULL,"
                             " owner TEXT NOT NULL) WITHOUT ROWID;"
                             "CREATE INDEX IF NOT EXISTS value_age ON value(until_us);"
                             "CREATE TABLE IF NOT EXISTS watch("
                             " name BLOB NOT NULL,"
                             " client TEXT NOT NULL,"
                             " until_us INTEGER NOT NULL,"
                             " PRIMARY KEY(name, client)) WITHOUT ROWID;";

/* ---- Statements ------------------------------------------------------------------------ */

/* With the name as ?1; NULL on error. Not kept: such requests are rare. */
static sqlite3_stmt *prepare(pawl__sqlite_db *db, const char *sql, pawl__name name)
{
    sqlite3_stmt *st = NULL;
    if (sqlite3_prepare_v2(db->handle, sql, -1, &st, NULL) != SQLITE_OK) return NULL;
    sqlite3_bind_blob(st, 1, name.text, (int)name.len, SQLITE_STATIC);
    return st;
}

/* Carries out one without rows. */
static int finish(pawl__sqlite_db *db, sqlite3_stmt *st)
{
    if (!st) return pawl__sqlite_error_of(db);
    int rc = sqlite3_step(st);
    int final_rc = sqlite3_finalize(st);
    return rc == SQLITE_DONE ? SQLITE_OK : final_rc;
}

static int make_tables(const pawl__sqlite_db *db)
{
    int rc = sqlite3_exec(db->handle, tables, NULL, NULL, NULL);
    return rc == SQLITE_OK ? rc : sqlite3_extended_errcode(db->handle);
}

static pawl__name name_of(const pawl_request *request)
{
    return (pawl__name){request->name, request->name_len};
}

static int64_t until(int64_t span_ms)
{
    return pawl__sqlite_clock_wall_us() + span_ms * 1000;
}

/* ---- PUBLISH --------------------------------------------------------------------------- */

/* In whatever mode. */
static int find_holder(pawl__sqlite_db *db, const pawl_request *request, pawl__hold_row *ret_holder)
{
    *ret_holder = (pawl__hold_row){.found = false};
    if (!request->token) return SQLITE_OK;
    int rc = pawl__holder_of(db, name_of(request), request->token, ret_holder);
    if (!pawl__hold_is_live(db, ret_holder, pawl__sqlite_clock_now(&db->clock)))
        ret_holder->found = false;
    return rc;
}

static int put_value(pawl__sqlite_db *db, const pawl_request *request, const pawl__hold_row *holder)
{
    sqlite3_stmt *st = prepare(db,
                               "INSERT INTO value(name, bytes, fence, at_us, until_us, owner)"
                               " VALUES(?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT(name) DO UPDATE SET"
                               " bytes = ?2, fence = ?3, at_us = ?4, until_us = ?5, owner = ?6",
                               name_of(request));
    if (!st) return pawl__sqlite_error_of(db);
    if (request->value_len)
        sqlite3_bind_blob(st, 2, request->value, (int)request->value_len, SQLITE_STATIC);
    else
        sqlite3_bind_zeroblob(st, 2, 0);
    sqlite3_bind_int64(st, 3, (int64_t)holder->fence);
    sqlite3_bind_int64(st, 4, pawl__sqlite_clock_wall_us());
    sqlite3_bind_int64(st, 5, until(request->keep_ms));
    sqlite3_bind_text(st, 6, holder->owner.label, -1, SQLITE_STATIC);
    return finish(db, st);
}

/* The number of this lease's latest publication: in `lock` if it is exclusive and always was. */
static int find_latest(pawl__sqlite_db *db, const pawl_request *request,
                       const pawl__hold_row *holder, int64_t *ret_latest)
{
    int rc = pawl__lock_published(db, name_of(request), holder->fence, ret_latest);
    if (*ret_latest < holder->published) *ret_latest = holder->published;
    return rc;
}

static int put_latest(pawl__sqlite_db *db, const pawl_request *request,
                      const pawl__hold_row *holder)
{
    static const char *const statements[] = {
        "UPDATE hold SET published = ?3 WHERE name = ?1 AND fence = ?2",
        "UPDATE lock SET published = ?3, published_fence = ?2 WHERE name = ?1"};
    int rc = SQLITE_OK;
    for (int i = 0; i < 2 && rc == SQLITE_OK; i++) {
        sqlite3_stmt *st = prepare(db, statements[i], name_of(request));
        if (!st) return pawl__sqlite_error_of(db);
        sqlite3_bind_int64(st, 2, (int64_t)holder->fence);
        sqlite3_bind_int64(st, 3, (int64_t)request->publication);
        rc = finish(db, st);
        if (sqlite3_changes(db->handle)) break;
    }
    return rc;
}

/* Removes values that have ended, and watches of this name that have ended. */
static int sweep(pawl__sqlite_db *db, const pawl_request *request)
{
    sqlite3_stmt *st = prepare(db,
                               "DELETE FROM value WHERE name IN (SELECT name FROM value"
                               " WHERE until_us < ?2 AND name != ?1 LIMIT " SWEEP_MAX ")",
                               name_of(request));
    if (st) sqlite3_bind_int64(st, 2, pawl__sqlite_clock_wall_us());
    int rc = finish(db, st);
    if (rc != SQLITE_OK) return rc;
    st = prepare(db, "DELETE FROM watch WHERE name = ?1 AND until_us < ?2", name_of(request));
    if (st) sqlite3_bind_int64(st, 2, pawl__sqlite_clock_wall_us());
    return finish(db, st);
}

/* As many as there is room for in the outbox: a hint may be lost (law 7). */
static int tell_watchers(pawl__sqlite_db *db, const pawl_request *request, pawl__outbox *outbox)
{
    sqlite3_stmt *st = prepare(db, "SELECT client FROM watch WHERE name = ?1", name_of(request));
    if (!st) return pawl__sqlite_error_of(db);
    int rc;
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        pawl__mail *mail = pawl__outbox_add(outbox);
        if (!mail) continue;
        pawl__column_text(st, 0, mail->to, sizeof(mail->to));
        pawl__letter_write(&mail->letter, PAWL_PUSH_NEWS, request->name, request->name_len, NULL, 0,
                           false);
    }
    int final_rc = sqlite3_finalize(st);
    return rc == SQLITE_DONE ? SQLITE_OK : final_rc;
}

static int publish(pawl__sqlite_db *db, const pawl_request *request, pawl__outbox *outbox,
                   pawl__answer *ret_answer)
{
    pawl__hold_row holder;
    int rc = find_holder(db, request, &holder);
    ret_answer->outcome = PAWL_NOT_OWNER;
    if (rc != SQLITE_OK || !holder.found) return rc;
    ret_answer->outcome = PAWL_CONFIRMED;
    ret_answer->fence = holder.fence;
    int64_t latest;
    rc = find_latest(db, request, &holder, &latest);
    bool is_new = (int64_t)request->publication > latest;
    if (rc != SQLITE_OK || !is_new) return rc; /* it came late, or again */
    rc = make_tables(db);
    if (rc == SQLITE_OK) rc = put_value(db, request, &holder);
    if (rc == SQLITE_OK) rc = put_latest(db, request, &holder);
    if (rc == SQLITE_OK) rc = sweep(db, request);
    if (rc == SQLITE_OK) rc = tell_watchers(db, request, outbox);
    return rc;
}

/* ---- READ ------------------------------------------------------------------------------ */

static int64_t count_watchers(pawl__sqlite_db *db, const pawl_request *request,
                              const char *client_id)
{
    sqlite3_stmt *st =
        prepare(db, "SELECT count(*) FROM watch WHERE name = ?1 AND client != ?2 AND until_us > ?3",
                name_of(request));
    if (!st) return 0;
    sqlite3_bind_text(st, 2, client_id, -1, SQLITE_STATIC);
    sqlite3_bind_int64(st, 3, pawl__sqlite_clock_wall_us());
    int64_t count = sqlite3_step(st) == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 0;
    sqlite3_finalize(st);
    return count;
}

static int watch(pawl__sqlite_db *db, const pawl_request *request, const char *client_id)
{
    sqlite3_stmt *st = prepare(db,
                               "INSERT INTO watch(name, client, until_us) VALUES(?1, ?2, ?3)"
                               " ON CONFLICT(name, client) DO UPDATE SET until_us = ?3",
                               name_of(request));
    if (!st) return pawl__sqlite_error_of(db);
    sqlite3_bind_text(st, 2, client_id, -1, SQLITE_STATIC);
    sqlite3_bind_int64(st, 3, until(request->ttl_ms));
    return finish(db, st);
}

static void take_value(sqlite3_stmt *st, char *room, pawl_value *ret_value)
{
    int len = sqlite3_column_bytes(st, 0);
    if (len < 0 || len > PAWL_STORED_MAX) return; /* not ours */
    if (len > 0) memcpy(room, sqlite3_column_blob(st, 0), (size_t)len);
    room[len] = '\0';
    char *owner = room + len + 1;
    pawl__column_text(st, 3, owner, PAWL_OWNER_MAX + 1);
    ret_value->bytes = room;
    ret_value->len = (size_t)len;
    ret_value->fence = (uint64_t)sqlite3_column_int64(st, 1);
    ret_value->at_us = sqlite3_column_int64(st, 2);
    ret_value->owner = owner;
}

int pawl__value_read(pawl__sqlite_db *db, const pawl_request *request, char *room,
                     pawl_value *ret_value)
{
    *ret_value = (pawl_value){.bytes = "", .owner = "", .now_us = pawl__sqlite_clock_wall_us()};
    sqlite3_stmt *st = prepare(db, "SELECT 1 FROM sqlite_schema WHERE name = 'value' AND ?1 != ''",
                               name_of(request));
    if (!st) return pawl__sqlite_error_of(db);
    bool exists = sqlite3_step(st) == SQLITE_ROW;
    sqlite3_finalize(st);
    if (!exists) return SQLITE_OK;
    st = prepare(db,
                 "SELECT bytes, fence, at_us, owner FROM value WHERE name = ?1 AND until_us > ?2",
                 name_of(request));
    if (!st) return pawl__sqlite_error_of(db);
    sqlite3_bind_int64(st, 2, ret_value->now_us);
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) take_value(st, room, ret_value);
    int final_rc = sqlite3_finalize(st);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : final_rc;
}

static int read_and_watch(pawl__sqlite_db *db, const pawl_request *request, const char *client_id,
                          char *room, pawl__answer *ret_answer)
{
    int rc = make_tables(db);
    if (rc != SQLITE_OK) return rc;
    if (count_watchers(db, request, client_id) >= PAWL_WATCHERS_MAX) {
        ret_answer->outcome = PAWL_FAILED;
        ret_answer->fault.err = PAWL_ERR_STORE_FULL;
        pawl__sqlite_say(ret_answer->fault.message, "%d watch this name already",
                         PAWL_WATCHERS_MAX);
        return SQLITE_OK;
    }
    rc = watch(db, request, client_id);
    if (rc == SQLITE_OK) rc = pawl__value_read(db, request, room, &ret_answer->value);
    ret_answer->outcome = PAWL_REPORTED;
    return rc;
}

/* ---- The interface --------------------------------------------------------------------- */

bool pawl__value_is_asked(const pawl_request *request)
{
    return request->verb == PAWL_VERB_PUBLISH || request->verb == PAWL_VERB_READ;
}

size_t pawl__value_room(const pawl_request *request)
{
    return request->verb == PAWL_VERB_READ ? PAWL_STORED_MAX + PAWL_OWNER_MAX + 2 : 0;
}

int pawl__value_carry_out(pawl__sqlite_db *db, const pawl_request *request, const char *client_id,
                          pawl__outbox *outbox, char *room, pawl__answer *ret_answer)
{
    memset(ret_answer, 0, sizeof(*ret_answer));
    ret_answer->position = ret_answer->holder_ms = -1;
    if (request->verb == PAWL_VERB_PUBLISH) return publish(db, request, outbox, ret_answer);
    return read_and_watch(db, request, client_id, room, ret_answer);
}
