/* SPDX-License-Identifier: MIT */
/* INSPECT, LIST and DOCTOR: looking without changing anything. */
#define _GNU_SOURCE
#include "sqlite_broken.h"
#include "sqlite_store.h"

#include "../../base/instant.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- One lock ------------------------------------------------------------------ */

/* A row in the making: one block that holds the info, those in it and all their strings. */
typedef struct row_note {
    pawl__note *note;
    pawl_holder_info *holders;
    pawl_waiter_info *waiters;
    size_t holder_room, waiter_room;
    const char *token; /* of the request */
    char *room;        /* where the next string goes */
} row_note;

static size_t row_size(size_t name_len, const row_note *row)
{
    return row->holder_room * (sizeof(pawl_holder_info) + PAWL_OWNER_MAX + 1) +
           row->waiter_room * (sizeof(pawl_waiter_info) + PAWL_OWNER_MAX + 1) + name_len + 1 +
           2 * (PAWL_OWNER_MAX + 1);
}

static const char *put_text(row_note *row, const char *text, size_t len)
{
    char *at = row->room;
    memcpy(at, text, len);
    at[len] = '\0';
    row->room += len + 1;
    return at;
}

/* The waiters whose places are alive, in order. */
static int fill_waiters(pawl__sqlite_db *db, pawl__name name, int64_t now, row_note *row)
{
    pawl_info *info = &row->note->u.info;
    pawl__wait_row waiter = {.seq = 0};
    for (;;) {
        int rc = pawl__wait_first(db, name, waiter.seq, &waiter);
        if (rc != SQLITE_OK || !waiter.found) return rc;
        if (!pawl__wait_is_live(db, &waiter, now)) continue;
        info->waiter_count++;
        if (info->capacity == 0) info->capacity = waiter.capacity;
        if (info->waiters_shown == row->waiter_room) continue;
        row->waiters[info->waiters_shown++] = (pawl_waiter_info){
            .owner = put_text(row, waiter.owner.label, strlen(waiter.owner.label)),
            .age_ms = pawl__ms_until(waiter.since_at, now),
            .place_ms = pawl__ms_until(now, waiter.until_at),
            .mode = waiter.mode,
            .units = waiter.units,
        };
    }
}

/* What is true of all holders together is taken from the latest: its fence is the largest. */
static void fill_holder(int64_t now, const pawl__hold_row *holder, row_note *row)
{
    pawl_info *info = &row->note->u.info;
    pawl_holder_info said = {
        .owner = holder->owner.label,
        .remaining_ms = pawl__ms_until(now, holder->expires_at),
        .fence = holder->fence,
        .mode = holder->mode,
        .units = holder->units,
        .mine = row->token && strcmp(row->token, holder->owner.token) == 0,
    };
    info->held = true;
    info->mine |= said.mine;
    info->holder_count++;
    info->mode = said.mode;
    info->fence = said.fence;
    info->capacity = holder->capacity;
    if (said.remaining_ms > info->remaining_ms) info->remaining_ms = said.remaining_ms;
    if (info->holders_shown == row->holder_room) return;
    said.owner = put_text(row, holder->owner.label, strlen(holder->owner.label));
    row->holders[info->holders_shown++] = said;
    info->owner = said.owner;
}

static int fill_holders(pawl__sqlite_db *db, pawl__name name, int64_t now,
                        const pawl__lock_row *lock, row_note *row)
{
    pawl__hold_row holder = pawl__holder_of_lock(lock), last = {.found = false};
    if (pawl__lock_is_live(db, lock, now)) fill_holder(now, &holder, row);
    holder.fence = 0;
    while (lock->many) {
        int rc = pawl__hold_after(db, name, holder.fence, &holder);
        if (rc != SQLITE_OK) return rc;
        if (!holder.found) break;
        if (!pawl__hold_is_live(db, &holder, now)) continue;
        fill_holder(now, &holder, row);
        last = holder;
    }
    if (last.found && row->note->u.info.holder_count > row->holder_room)
        row->note->u.info.owner = put_text(row, last.owner.label, strlen(last.owner.label));
    return SQLITE_OK;
}

static size_t shown(int64_t count, int64_t most)
{
    return (size_t)(count < most ? count : most);
}

static int count_rows(pawl__sqlite_db *db, pawl__sqlite_stmt id, pawl__name name, int64_t most,
                      size_t *ret_count)
{
    sqlite3_stmt *st = pawl__sqlite_use_named(db, id, name);
    int rc = pawl__sqlite_step_row(db, st);
    *ret_count = 0;
    if (rc != SQLITE_ROW) return rc;
    *ret_count = shown(sqlite3_column_int64(st, 0), most);
    return sqlite3_reset(st);
}

static int fill_break(pawl__sqlite_db *db, pawl__name name, int64_t now, row_note *row)
{
    pawl_info *info = &row->note->u.info;
    pawl__broken_row latest;
    int rc = pawl__break_latest(db, name, now, &latest);
    if (rc != SQLITE_OK || !latest.found || db->all_ended) return rc;
    info->broken_by = put_text(row, latest.by, strlen(latest.by));
    info->broken_ms = latest.at < now ? pawl__ms_until(latest.at, now) : 0;
    info->broken_fence = latest.fence;
    return SQLITE_OK;
}

/* Room for all of it: nothing is written before it is known how many there are. */
static int make_row(pawl__sqlite_db *db, pawl__task *task, pawl__name name,
                    const pawl__lock_row *lock, row_note *ret_row)
{
    int64_t waiting = 0;
    *ret_row = (row_note){.holder_room = 1, .token = task->request.token};
    int rc = pawl__wait_rank(db, name, INT64_MAX, &waiting);
    ret_row->waiter_room = shown(waiting, PAWL_WAITERS_SHOWN_MAX);
    if (rc == SQLITE_OK && lock->many)
        rc = count_rows(db, PAWL__ST_HOLD_COUNT_NAME, name, PAWL_HOLDERS_SHOWN_MAX,
                        &ret_row->holder_room);
    if (rc != SQLITE_OK) return rc;
    ret_row->note = pawl__sqlite_note_new(PAWL__NOTE_ROW, row_size(name.len, ret_row));
    if (!ret_row->note) return SQLITE_NOMEM;
    ret_row->holders = (pawl_holder_info *)(void *)(ret_row->note + 1);
    ret_row->waiters = (pawl_waiter_info *)(void *)(ret_row->holders + ret_row->holder_room);
    ret_row->room = (char *)(ret_row->waiters + ret_row->waiter_room);
    ret_row->note->task = task;
    ret_row->note->u.info = (pawl_info){
        .size = sizeof(pawl_info),
        .name = put_text(ret_row, name.text, name.len),
        .name_len = name.len,
        .owner = "",
        .fence = lock->fence,
        .waiters = ret_row->waiters,
        .holders = ret_row->holders,
    };
    return SQLITE_OK;
}

/* Inside a read transaction. The note is the caller's. */
static int read_row(pawl_store *store, pawl__task *task, pawl__name name, pawl__note **ret_note)
{
    pawl__sqlite_db *db = &store->worker.db;
    int64_t now = pawl__sqlite_clock_now(&db->clock);
    pawl__lock_row lock;
    row_note row;
    int rc = pawl__lock_get(db, name, &lock);
    if (rc == SQLITE_OK) rc = make_row(db, task, name, &lock, &row);
    if (rc != SQLITE_OK) return rc;
    rc = fill_holders(db, name, now, &lock, &row);
    if (rc == SQLITE_OK) rc = fill_waiters(db, name, now, &row);
    if (rc == SQLITE_OK) rc = fill_break(db, name, now, &row);
    if (rc != SQLITE_OK) {
        free(row.note);
        return rc;
    }
    *ret_note = row.note;
    return SQLITE_OK;
}

/* The same, and posts it; in a list only if it is held or waited for. */
static int post_row(pawl_store *store, pawl__task *task, pawl__name name, bool in_list)
{
    pawl__note *note;
    int rc = read_row(store, task, name, &note);
    if (rc != SQLITE_OK) return rc;
    if (in_list && !note->u.info.held && note->u.info.waiter_count == 0)
        free(note);
    else
        pawl__sqlite_post(store, note);
    return SQLITE_OK;
}

static int drop_row(pawl_store *store, pawl__task *task, pawl__name name)
{
    pawl__note *note;
    int rc = read_row(store, task, name, &note);
    if (rc == SQLITE_OK) free(note);
    return rc;
}

static int inspect(pawl_store *store, pawl__task *task)
{
    pawl__sqlite_db *db = &store->worker.db;
    int rc = pawl__sqlite_begin_read(db);
    if (rc != SQLITE_OK) return rc;
    rc = post_row(store, task, (pawl__name){task->request.name, task->request.name_len}, false);
    pawl__sqlite_rollback(db);
    return rc;
}

/* ---- All locks ----------------------------------------------------------------- */

#define LIST_PAGE                                                                                  \
    64 /* rows per transaction: a long one would keep the log from being copied back */

static int next_name(pawl__sqlite_db *db, const char *after, size_t after_len, char *ret_name,
                     size_t *ret_len)
{
    sqlite3_stmt *st =
        pawl__sqlite_use_named(db, PAWL__ST_LOCK_NEXT, (pawl__name){after, after_len});
    if (!st) return SQLITE_ERROR;
    *ret_len = 0;
    if (sqlite3_step(st) == SQLITE_ROW) {
        int len = sqlite3_column_bytes(st, 0);
        if (len > 0 && len <= PAWL_NAME_MAX) {
            memcpy(ret_name, sqlite3_column_blob(st, 0), (size_t)len);
            *ret_len = (size_t)len;
        }
    }
    return sqlite3_reset(st);
}

typedef struct listing {
    char name[PAWL_NAME_MAX + 1]; /* the last one given */
    size_t len;
    bool done;
} listing;

static bool has_prefix(const listing *at, const pawl_request *request)
{
    return at->len >= request->name_len && memcmp(at->name, request->name, request->name_len) == 0;
}

/* For the doctor it only sees whether they can be read. */
static int list_page(pawl_store *store, pawl__task *task, listing *at)
{
    bool gives = task->request.verb == PAWL_VERB_LIST;
    pawl__sqlite_db *db = &store->worker.db;
    int rc = pawl__sqlite_begin_read(db);
    if (rc != SQLITE_OK) return rc;
    for (int i = 0; i < LIST_PAGE && rc == SQLITE_OK && !at->done; i++) {
        char name[PAWL_NAME_MAX];
        size_t len;
        rc = next_name(db, at->name, at->len, name, &len);
        if (rc != SQLITE_OK) break;
        memcpy(at->name, name, len);
        at->len = len;
        at->done = len == 0 || !has_prefix(at, &task->request);
        pawl__name found = {at->name, at->len};
        if (!at->done)
            rc = gives ? post_row(store, task, found, true) : drop_row(store, task, found);
    }
    pawl__sqlite_rollback(db);
    return rc;
}

static int list_all(pawl_store *store, pawl__task *task)
{
    listing at = {.len = task->request.name_len};
    memcpy(at.name, task->request.name, at.len);
    int rc = SQLITE_OK;
    /* The prefix may be a name itself. */
    if (at.len > 0) {
        rc = pawl__sqlite_begin_read(&store->worker.db);
        if (rc != SQLITE_OK) return rc;
        rc = post_row(store, task, (pawl__name){at.name, at.len}, true);
        pawl__sqlite_rollback(&store->worker.db);
    }
    while (rc == SQLITE_OK && !at.done) {
        if (pawl__sqlite_clock_local() > task->give_up_at) return SQLITE_BUSY;
        rc = list_page(store, task, &at);
        pawl__sqlite_wait_until_taken(store);
    }
    return rc;
}

/* ---- The doctor ---------------------------------------------------------------- */

static void find(pawl_store *store, pawl__task *task, pawl_severity severity, const char *topic,
                 const char *text, const char *advice)
{
    size_t text_len = strlen(text);
    pawl__note *note = pawl__sqlite_note_new(PAWL__NOTE_FINDING, text_len + 1);
    if (!note) return;
    memcpy(note + 1, text, text_len + 1);
    note->task = task;
    note->u.finding = (pawl_finding){
        .size = sizeof(pawl_finding),
        .severity = severity,
        .topic = topic,
        .text = (const char *)(note + 1),
        .advice = advice,
    };
    pawl__sqlite_post(store, note);
}

static void find_file(pawl_store *store, pawl__task *task)
{
    const pawl__sqlite_db *db = &store->worker.db;
    char text[PATH_MAX + 128];
    bool open_to_all = (db->identity.st_mode & 0002) != 0;
    snprintf(text, sizeof(text), "The database is %s (mode %03o).", db->path,
             (unsigned)(db->identity.st_mode & 0777));
    find(store, task, open_to_all ? PAWL_SEVERITY_NOTE : PAWL_SEVERITY_OK, "file", text,
         open_to_all ? "Every user of this machine can break these locks; chmod it if that is "
                       "not meant, with the files beside it."
                     : "");
}

static int find_damage(pawl_store *store, pawl__task *task)
{
    sqlite3_stmt *st = NULL;
    char text[256];
    int rc = sqlite3_prepare_v2(store->worker.db.handle, "PRAGMA quick_check(1)", -1, &st, NULL);
    if (rc != SQLITE_OK) return rc;
    rc = sqlite3_step(st);
    const char *said = rc == SQLITE_ROW ? (const char *)sqlite3_column_text(st, 0) : NULL;
    bool sound = said && strcmp(said, "ok") == 0;
    snprintf(text, sizeof(text), sound ? "The database is sound." : "The database is damaged: %s.",
             said ? said : "it cannot be checked");
    find(store, task, sound ? PAWL_SEVERITY_OK : PAWL_SEVERITY_ERROR, "integrity", text,
         sound ? "" : "Stop all users of it and delete it: locks that are held are lost with it.");
    return sqlite3_finalize(st);
}

/* For a user who may only read: what it can see. It needs no inbox. */
static void find_sight(pawl_store *store, pawl__task *task)
{
    bool works = store->worker.db.live.fd >= 0;
    find(store, task, works ? PAWL_SEVERITY_OK : PAWL_SEVERITY_WARNING, "liveness",
         works ? "The death of a holder's process is seen at once."
               : "The -live file beside the database cannot be read: a dead holder's lock is shown "
                 "as held until its ttl has run out.",
         works ? "" : "Make the -live file readable for this user.");
}

static void find_liveness(pawl_store *store, pawl__task *task)
{
    const pawl__sqlite_db *db = &store->worker.db;
    bool works = db->live.fd >= 0;
    find(store, task, works ? PAWL_SEVERITY_OK : PAWL_SEVERITY_WARNING, "liveness",
         works ? "The death of a holder's process frees its locks at once."
               : "The -live file beside the database cannot be used: a dead holder's lock is free "
                 "only when its ttl has run out.",
         works ? "" : "Make the -live file readable and writable for this user.");
    bool pushes =
        db->inbox.dir_fd >= 0 && pawl__sqlite_inbox_is_bound(&db->inbox, store->client_id);
    find(store, task, pushes ? PAWL_SEVERITY_OK : PAWL_SEVERITY_WARNING, "inbox",
         pushes ? "Waiters are told when it is their turn."
                : "No socket can be made in the -inbox directory beside the database: waiters "
                  "poll.",
         pushes ? "" : "Make the -inbox directory writable for this user.");
}

static const char *advice_for(pawl_err err)
{
    switch (err) {
    case PAWL_ERR_STORE_FULL:
        return "Make room on the disk. Until then locks that are held are kept where that is "
               "possible, and hardly any is granted.";
    case PAWL_ERR_READONLY:
        return "Mount the filesystem writable, or make the file writable, or name another file.";
    case PAWL_ERR_PERMISSION:
        return "Give this user the right to write the files and their directory.";
    case PAWL_ERR_STORE_BUSY:
        return "Find out which process keeps the database locked.";
    default:
        return "No lock can be acquired or renewed as long as this fails.";
    }
}

/* Looking proves nothing: it tries to write, in the database and beside it. */
static void find_write(pawl_store *store, pawl__task *task)
{
    pawl__sqlite_db *db = &store->worker.db;
    pawl__sqlite_fault fault = {.err = PAWL_OK};
    if (db->looks_only) {
        find(store, task, PAWL_SEVERITY_ERROR, "write", db->lacks.message,
             advice_for(db->lacks.err));
        return;
    }
    int rc = pawl__sqlite_touch(db);
    if (rc != SQLITE_OK)
        pawl__sqlite_fault_of(db, rc, &fault);
    else
        fault.err = (pawl_err)pawl__sqlite_path_probe(db->path, fault.message);
    if (fault.err == PAWL_OK) {
        find(store, task, PAWL_SEVERITY_OK, "write", "A write was tried, and reached the disk.",
             "");
        return;
    }
    find(store, task, PAWL_SEVERITY_ERROR, "write", fault.message, advice_for(fault.err));
}

static int find_rows(pawl_store *store, pawl__task *task)
{
    pawl__sqlite_db *db = &store->worker.db;
    char text[256];
    int rc = pawl__sqlite_begin_read(db);
    if (rc != SQLITE_OK) return rc;
    sqlite3_stmt *locks = pawl__sqlite_use(db, PAWL__ST_LOCK_COUNT);
    sqlite3_stmt *waits = pawl__sqlite_use(db, PAWL__ST_WAIT_COUNT);
    if (!locks || !waits || sqlite3_step(locks) != SQLITE_ROW ||
        sqlite3_step(waits) != SQLITE_ROW) {
        pawl__sqlite_rollback(db);
        return SQLITE_ERROR;
    }
    snprintf(text, sizeof(text),
             "%lld names on file, %lld of them held, %lld waiting; log: %d pages.",
             (long long)sqlite3_column_int64(locks, 0), (long long)sqlite3_column_int64(locks, 1),
             (long long)sqlite3_column_int64(waits, 0), db->wal_pages);
    int64_t ahead_us = sqlite3_column_int64(locks, 2) - pawl__sqlite_clock_wall_us();
    sqlite3_reset(locks);
    sqlite3_reset(waits);
    pawl__sqlite_rollback(db);
    find(store, task, PAWL_SEVERITY_OK, "rows", text, "");
    if (ahead_us < 1000000) return SQLITE_OK;
    snprintf(text, sizeof(text), "The fences are %lld s ahead of the wall clock.",
             (long long)(ahead_us / 1000000));
    find(store, task, PAWL_SEVERITY_NOTE, "clock", text,
         "Fences go on growing; the clock was set back, or the machine was started lately.");
    return SQLITE_OK;
}

/* Whether the tables are there that a list of names may not come to, with their columns. */
static int try_tables(pawl__sqlite_db *db)
{
    static const pawl__sqlite_stmt tries[] = {PAWL__ST_HOLD_OF, PAWL__ST_WAIT_OF,
                                              PAWL__ST_BROKEN_OF};
    for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++)
        if (!pawl__sqlite_use(db, tries[i])) return sqlite3_extended_errcode(db->handle);
    return SQLITE_OK;
}

#define NAMES_TRIED 64 /* a list would meet the rest; the doctor has other things to do */

/* What SQLite takes for sound may be nothing that pawl has written. */
static int find_nonsense(pawl_store *store, pawl__task *task)
{
    pawl__sqlite_fault fault;
    listing at = {.len = 0};
    int rc = try_tables(&store->worker.db);
    for (int i = 0; i < NAMES_TRIED / LIST_PAGE && rc == SQLITE_OK && !at.done; i++)
        rc = list_page(store, task, &at);
    if (rc == SQLITE_OK || rc == SQLITE_BUSY) return SQLITE_OK;
    pawl__sqlite_fault_of(&store->worker.db, rc, &fault);
    find(store, task, PAWL_SEVERITY_ERROR, "rows", fault.message, advice_for(fault.err));
    return SQLITE_OK;
}

static int doctor(pawl_store *store, pawl__task *task)
{
    const pawl__sqlite_clock *clock = &store->worker.db.clock;
    char text[128];
    find_file(store, task);
    int rc = find_damage(store, task);
    find_write(store, task);
    if (store->worker.db.looks_only)
        find_sight(store, task);
    else
        find_liveness(store, task);
    if (rc == SQLITE_OK) rc = find_rows(store, task);
    if (rc == SQLITE_OK) rc = find_nonsense(store, task);
    if (clock->shift_ns != 0) {
        snprintf(text, sizeof(text), "This process is in a time namespace, %lld s off.",
                 (long long)(clock->shift_ns / INT64_C(1000000000)));
        find(store, task, PAWL_SEVERITY_NOTE, "clock", text, "");
    }
    return rc;
}

/* ---- A value ------------------------------------------------------------------- */

static int read_value(pawl_store *store, pawl__task *task)
{
    pawl__sqlite_db *db = &store->worker.db;
    int rc = pawl__sqlite_begin_read(db);
    if (rc != SQLITE_OK) return rc;
    rc = pawl__value_read(db, &task->request, task->value_room, &task->answer.value);
    pawl__sqlite_rollback(db);
    return rc;
}

/* ---- The interface ------------------------------------------------------------- */

int pawl__sqlite_report(pawl_store *store, pawl__task *task)
{
    pawl__sqlite_db *db = &store->worker.db;
    int rc = SQLITE_MISUSE;
    memset(&task->answer, 0, sizeof(task->answer));
    task->answer.outcome = PAWL_REPORTED;
    db->busy_until = task->give_up_at;
    if (task->request.verb == PAWL_VERB_INSPECT) rc = inspect(store, task);
    if (task->request.verb == PAWL_VERB_LIST) rc = list_all(store, task);
    if (task->request.verb == PAWL_VERB_DOCTOR) rc = doctor(store, task);
    if (task->request.verb == PAWL_VERB_READ) rc = read_value(store, task);
    if (rc == SQLITE_OK) return rc;
    pawl__sqlite_fault_of(db, rc, &task->answer.fault);
    task->answer.outcome = PAWL_FAILED;
    return rc;
}
