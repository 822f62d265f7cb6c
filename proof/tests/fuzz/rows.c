/* SPDX-License-Identifier: MIT */
/*
 * The tables of the SQLite store, filled by somebody else: any type in any column, any date,
 * any fence. What pawl does with such rows must stay within the store's contract.
 *
 *   input: rows (what, then a value for each column), a byte 255, requests
 */
#define _GNU_SOURCE
#include "fuzz.h"

#include "base/instant.h"
#include "stores/sqlite/sqlite_lease.h"
#include "support/temp_dir.h"

#include <stdio.h>

#define ROWS_MAX     12
#define REQUESTS_MAX 12

static const char *const names[] = {"a", "b"};
static const char *const tokens[] = {"0000000000000000000000000000000000000001",
                                     "0000000000000000000000000000000000000002",
                                     "0000000000000000000000000000000000000003"};
static const char client[] = "000000000000000000000000000000aa";

static pawl__sqlite_db db;
static char *dir;

static void remove_dir(void)
{
    temp_dir_free(dir);
}

static void open_once(void)
{
    static atomic_bool stop;
    pawl__sqlite_fault fault;
    char path[PATH_MAX];
    if (dir) return;
    dir = temp_dir_new("pawl-fuzz");
    atexit(remove_dir);
    snprintf(path, sizeof path, "%s/locks.db", dir);
    pawl__sqlite_db_init(&db, &stop);
    if (!pawl__sqlite_db_open(&db, path, 0, &fault)) FAIL_TEST("%s", fault.message);
}

/* ---- Rows ----------------------------------------------------------------------------------- */

static int64_t some_number(fuzz_input *in)
{
    int64_t near[] = {0, 1, -1, INT64_MAX, INT64_MIN, pawl__sqlite_clock_now(&db.clock)};
    unsigned which = fuzz_below(in, 16);
    if (which < sizeof near / sizeof near[0]) return near[which];
    if (which < 12) /* around now, within minutes */
        return near[5] + ((int64_t)fuzz_number(in, 2) - 32768) * 4 * PAWL__NS_PER_MS;
    return (int64_t)fuzz_number(in, 8);
}

/* Mostly what belongs there. */
static void bind_some(fuzz_input *in, sqlite3_stmt *st, int column, const char *usual)
{
    unsigned what = fuzz_byte(in);
    fuzz_input piece;
    switch (what) {
    case 0:
        sqlite3_bind_null(st, column);
        return;
    case 1:
        piece = fuzz_cut(in, fuzz_number(in, 2) % 1024);
        sqlite3_bind_text(st, column, (const char *)piece.data, (int)piece.left, SQLITE_TRANSIENT);
        return;
    case 2:
        piece = fuzz_cut(in, fuzz_number(in, 2) % 1024);
        sqlite3_bind_blob(st, column, piece.data, (int)piece.left, SQLITE_TRANSIENT);
        return;
    case 3:
        sqlite3_bind_double(st, column, 1e300 * (double)some_number(in));
        return;
    default:
        if (usual)
            sqlite3_bind_text(st, column, usual, -1, SQLITE_STATIC);
        else
            sqlite3_bind_int64(st, column, some_number(in));
    }
}

static sqlite3_stmt *prepare(const char *sql)
{
    sqlite3_stmt *st = NULL;
    CHECK(sqlite3_prepare_v2(db.handle, sql, -1, &st, NULL) == SQLITE_OK);
    return st;
}

static void run(const char *sql)
{
    CHECK(sqlite3_exec(db.handle, sql, NULL, NULL, NULL) == SQLITE_OK);
}

static void put_lock(fuzz_input *in)
{
    sqlite3_stmt *st =
        prepare("INSERT OR IGNORE INTO lock VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11,"
                " ?12)");
    const char *name = names[fuzz_below(in, 2)];
    sqlite3_bind_blob(st, 1, name, 1, SQLITE_STATIC);
    bind_some(in, st, 2, tokens[fuzz_below(in, 3)]);
    bind_some(in, st, 3, client);
    bind_some(in, st, 4, "owner");
    for (int column = 5; column <= 12; column++) bind_some(in, st, column, NULL);
    (void)sqlite3_step(st); /* what breaks a constraint is not there */
    sqlite3_finalize(st);
}

static void put_hold(fuzz_input *in)
{
    sqlite3_stmt *st = prepare("INSERT OR IGNORE INTO hold VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8,"
                               " ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)");
    const char *name = names[fuzz_below(in, 2)];
    sqlite3_bind_blob(st, 1, name, 1, SQLITE_STATIC);
    bind_some(in, st, 2, NULL);
    bind_some(in, st, 3, tokens[fuzz_below(in, 3)]);
    bind_some(in, st, 4, client);
    bind_some(in, st, 5, "owner");
    for (int column = 6; column <= 14; column++) bind_some(in, st, column, NULL);
    bind_some(in, st, 15, "\1");
    bind_some(in, st, 16, NULL);
    (void)sqlite3_step(st);
    sqlite3_finalize(st);
}

/* Rows of a semaphore with one permit, or of readers: as pawl writes them, except the dates. */
static void put_sound_hold(fuzz_input *in)
{
    unsigned what = fuzz_byte(in);
    bool is_permit = what & 1;
    const char *name = names[what >> 1 & 1];
    sqlite3_stmt *st = prepare("INSERT OR IGNORE INTO hold VALUES(?1, ?2, ?3, ?4, 'owner', ?5, -1,"
                               " 0, 0, ?6, ?7, ?7, 0, ?8, ?9, 0)");
    sqlite3_bind_blob(st, 1, name, 1, SQLITE_STATIC);
    sqlite3_bind_int(st, 2, 1 + (int)(what >> 2 & 3));
    sqlite3_bind_text(st, 3, tokens[fuzz_below(in, 3)], -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 4, client, -1, SQLITE_STATIC);
    sqlite3_bind_int64(st, 5, some_number(in));
    sqlite3_bind_int(st, 6, is_permit ? PAWL_MODE_PERMIT : (int)(what >> 4) % 3);
    sqlite3_bind_int(st, 7, is_permit);
    sqlite3_bind_int64(st, 8, what & 128 ? some_number(in) : 0);
    sqlite3_bind_blob(st, 9, "\1", is_permit, SQLITE_STATIC);
    (void)sqlite3_step(st);
    sqlite3_finalize(st);
    st =
        prepare("INSERT OR REPLACE INTO lock VALUES(?1, '', '', '', 9, 0, 0, 0, 0, NULL, NULL, 0)");
    sqlite3_bind_blob(st, 1, name, 1, SQLITE_STATIC);
    (void)sqlite3_step(st);
    sqlite3_finalize(st);
}

static void put_wait(fuzz_input *in)
{
    sqlite3_stmt *st = prepare("INSERT OR IGNORE INTO wait VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8,"
                               " ?9, ?10, ?11, ?12, ?13, ?14, ?15)");
    const char *name = names[fuzz_below(in, 2)];
    sqlite3_bind_blob(st, 1, name, 1, SQLITE_STATIC);
    bind_some(in, st, 2, NULL);
    bind_some(in, st, 3, tokens[fuzz_below(in, 3)]);
    bind_some(in, st, 4, client);
    bind_some(in, st, 5, "owner");
    for (int column = 6; column <= 15; column++) bind_some(in, st, column, NULL);
    (void)sqlite3_step(st);
    sqlite3_finalize(st);
}

static void fill(fuzz_input *in)
{
    run("DELETE FROM lock; DELETE FROM hold; DELETE FROM wait");
    for (int i = 0; i < ROWS_MAX && in->left > 0; i++) {
        unsigned what = fuzz_byte(in);
        if (what == 255) return;
        if (what == 254) db.host.fence_floor = (uint64_t)some_number(in) % PAWL__SQLITE_FENCE_MAX;
        if (what == 253) db.host.fence_ceiling = (uint64_t)some_number(in);
        if (what >= 253) continue;
        if (what < 60)
            put_sound_hold(in);
        else if (what < 90)
            put_hold(in);
        else if (what & 1)
            put_lock(in);
        else
            put_wait(in);
    }
}

/* ---- Requests --------------------------------------------------------------------- */

static bool may_queue(const pawl_request *request)
{
    return request->verb == PAWL_VERB_ACQUIRE || request->verb == PAWL_VERB_CHANGE;
}

static void check_answer(const pawl_request *request, const pawl__answer *answer)
{
    switch (answer->outcome) {
    case PAWL_GRANTED:
        CHECK(may_queue(request) && answer->fence > 0);
        CHECK(pawl__slots_count(&answer->slots) <= PAWL_CAPACITY_MAX);
        return;
    case PAWL_QUEUED:
        CHECK(may_queue(request) && request->flags & PAWL_ASK_QUEUE);
        CHECK(answer->position >= 0 && answer->holder_ms >= -1);
        return;
    case PAWL_BUSY:
        CHECK(may_queue(request) && answer->holder_ms >= -1);
        CHECK(memchr(answer->fault.message, '\0', sizeof answer->fault.message) != NULL);
        return;
    case PAWL_CONFIRMED:
        CHECK(request->verb == PAWL_VERB_RENEW && answer->fence > 0);
        return;
    case PAWL_RELEASED:
    case PAWL_NOT_OWNER:
        CHECK(request->verb != PAWL_VERB_ACQUIRE);
        return;
    case PAWL_LEFT:
        CHECK(request->verb == PAWL_VERB_RELEASE);
        return;
    case PAWL_FAILED:
        CHECK(answer->fault.err < 0);
        return;
    case PAWL_REPORTED:
    case PAWL_UNKNOWN:
        break;
    }
    FAIL_TEST("outcome %d", (int)answer->outcome);
}

static void ask(fuzz_input *in)
{
    static const pawl_verb verbs[] = {PAWL_VERB_ACQUIRE, PAWL_VERB_RENEW,   PAWL_VERB_RELEASE,
                                      PAWL_VERB_BREAK,   PAWL_VERB_ACQUIRE, PAWL_VERB_CHANGE,
                                      PAWL_VERB_RELEASE, PAWL_VERB_ACQUIRE};
    static pawl__outbox outbox;
    pawl__answer answer = {.outcome = PAWL_UNKNOWN};
    unsigned what = fuzz_byte(in), who = fuzz_byte(in);
    pawl_mode mode = what & 32 ? (pawl_mode)(who >> 6) : PAWL_MODE_EXCLUSIVE;
    bool is_permit = mode == PAWL_MODE_PERMIT;
    pawl_request request = {.verb = verbs[(what & 3) | (what & 64 ? 4 : 0)],
                            .mode = mode,
                            .units = is_permit,
                            .capacity = is_permit,
                            .change = who >> 4 & 3,
                            .flags = what >> 2 & 3,
                            .name = names[who & 1],
                            .name_len = 1,
                            .token = tokens[(who >> 1) % 3],
                            .owner = "me",
                            .ttl_ms = what & 16 ? 1000 : PAWL_TTL_MAX_MS,
                            .fence = fuzz_byte(in)};
    outbox.count = 0;
    if (what & 128) {
        (void)pawl__lease_reap(&db, (pawl__name){request.name, 1}, &outbox);
        return;
    }
    if (pawl__lease_carry_out(&db, &request, client, &outbox, &answer) == SQLITE_OK)
        check_answer(&request, &answer);
    pawl__answer_done(&answer);
    for (size_t i = 0; i < outbox.count; i++) CHECK(outbox.mails[i].letter.name_len == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input in = {data, size};
    open_once();
    CHECK(pawl__sqlite_begin_write(&db) == SQLITE_OK);
    fill(&in);
    for (int i = 0; i < REQUESTS_MAX && in.left > 0; i++) ask(&in);
    pawl__sqlite_rollback(&db);
    return 0;
}
