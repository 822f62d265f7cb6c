/* SPDX-License-Identifier: MIT */
/* The SQLite store in one process: leases, files in every bad state, clocks, fork. */
#define _GNU_SOURCE
#include "host.h"

#include "stores/sqlite/sqlite_db.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define TTL 30000

static char dir[64], path[96];
static host a, b;

static int setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/pawl-sqlite-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/locks.db", dir);
    return 0;
}

static int teardown(void **state)
{
    char command[128];
    (void)state;
    snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    return system(command);
}

/* SQL by another hand, on the file. */
static void sql(const char *text)
{
    sqlite3 *db;
    char *message = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, HOST_WAIT_MS);
    if (sqlite3_exec(db, text, NULL, NULL, &message) != SQLITE_OK) fail_msg("%s", message);
    sqlite3_close(db);
}

static int64_t sql_int(const char *text)
{
    sqlite3 *db;
    sqlite3_stmt *st;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, HOST_WAIT_MS);
    assert_int_equal(sqlite3_prepare_v2(db, text, -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    sqlite3_close(db);
    return value;
}

static seen_reply acquire(host *h, const char *name, int token)
{
    return host_call(h, PAWL_VERB_ACQUIRE, name, host_token(token), TTL, PAWL_ASK_QUEUE);
}

static seen_reply release(host *h, const char *name, int token)
{
    return host_call(h, PAWL_VERB_RELEASE, name, host_token(token), 0, 0);
}

static seen_row inspect(host *h, const char *name, const char *token)
{
    h->row_count = 0;
    assert_int_equal(host_call(h, PAWL_VERB_INSPECT, name, token, 0, 0).outcome, PAWL_REPORTED);
    assert_int_equal(h->row_count, 1);
    return h->rows[0];
}

/* ---- Leases -------------------------------------------------------------------- */

static void test_acquire_is_idempotent(void **state)
{
    (void)state;
    host_open(&a, path);
    host_open(&b, path);
    seen_reply first = acquire(&a, "n", 1), again = acquire(&a, "n", 1);
    assert_int_equal(first.outcome, PAWL_GRANTED);
    assert_int_equal(again.outcome, PAWL_GRANTED);
    assert_true(first.fence == again.fence);
    assert_int_equal(acquire(&b, "n", 2).outcome, PAWL_QUEUED);
    assert_int_equal(acquire(&b, "n", 3).position, 1);
    assert_int_equal(acquire(&b, "n", 2).position, 0);
    assert_int_equal(acquire(&b, "n", 3).position, 1);
    assert_int_equal(inspect(&a, "n", NULL).waiter_count, 2);
    assert_true(acquire(&a, "n", 1).waiting);
    host_close(&a);
    host_close(&b);
}

static void test_only_the_owner(void **state)
{
    (void)state;
    host_open(&a, path);
    acquire(&a, "n", 1);
    assert_int_equal(release(&a, "n", 2).outcome, PAWL_NOT_OWNER);
    assert_int_equal(host_call(&a, PAWL_VERB_RENEW, "n", host_token(2), TTL, 0).outcome,
                     PAWL_NOT_OWNER);
    assert_int_equal(release(&a, "n", 1).outcome, PAWL_RELEASED);
    assert_int_equal(release(&a, "n", 1).outcome, PAWL_NOT_OWNER);
    /* What is gone is not re-created. */
    assert_int_equal(host_call(&a, PAWL_VERB_RENEW, "n", host_token(1), TTL, 0).outcome,
                     PAWL_NOT_OWNER);
    assert_false(inspect(&a, "n", NULL).held);
    host_close(&a);
}

static void test_busy_without_queue_forgets(void **state)
{
    (void)state;
    host_open(&a, path);
    host_open(&b, path);
    acquire(&a, "n", 1);
    acquire(&b, "n", 2);
    seen_reply r = host_call(&b, PAWL_VERB_ACQUIRE, "n", host_token(2), TTL, 0);
    assert_int_equal(r.outcome, PAWL_BUSY);
    assert_string_equal(r.message, "tester");
    assert_true(r.holder_ms > 0 && r.holder_ms <= TTL);
    assert_int_equal(inspect(&a, "n", NULL).waiter_count, 0);
    release(&a, "n", 1);
    assert_int_equal(host_call(&b, PAWL_VERB_ACQUIRE, "n", host_token(2), TTL, 0).outcome,
                     PAWL_GRANTED);
    host_close(&a);
    host_close(&b);
}

/* The holder's lease is over, a waiter lives: nobody else gets in. */
static void test_no_barging_after_expiry(void **state)
{
    (void)state;
    host_open(&a, path);
    host_open(&b, path);
    host_call(&a, PAWL_VERB_ACQUIRE, "n", host_token(1), TTL, PAWL_ASK_DETACHED);
    acquire(&b, "n", 2);
    sql("UPDATE lock SET expires_at = 1");
    seen_reply r = host_call(&a, PAWL_VERB_ACQUIRE, "n", host_token(3), TTL, 0);
    assert_int_equal(r.outcome, PAWL_BUSY);
    assert_string_equal(host_push_of(&b, PAWL_PUSH_GRANT).token, host_token(2));
    host_close(&a);
    host_close(&b);
}

static void test_inspect_list_break(void **state)
{
    (void)state;
    host_open(&a, path);
    host_open(&b, path);
    acquire(&a, "jobs/1", 1);
    seen_reply second = acquire(&a, "jobs/2", 2);
    acquire(&a, "other", 3);
    acquire(&b, "jobs/2", 4);
    acquire(&a, "jobs", 5);
    release(&a, "jobs", 5);

    seen_row row = inspect(&a, "jobs/2", host_token(2));
    assert_true(row.held && row.mine);
    assert_true(row.fence == second.fence);
    assert_int_equal(row.waiter_count, 1);
    assert_string_equal(row.first_waiter, "tester");
    assert_true(row.first_place_ms > 0 && row.first_place_ms <= TTL / 3 * 2);
    assert_false(inspect(&a, "jobs/2", host_token(4)).mine);
    assert_false(inspect(&a, "never heard of", NULL).held);

    a.row_count = 0;
    assert_int_equal(host_call(&a, PAWL_VERB_LIST, "jobs", NULL, 0, 0).outcome, PAWL_REPORTED);
    assert_int_equal(a.row_count, 2); /* "jobs" itself is free, "other" is another prefix */
    assert_string_equal(a.rows[0].name, "jobs/1");
    assert_string_equal(a.rows[1].name, "jobs/2");
    a.row_count = 0;
    host_call(&a, PAWL_VERB_LIST, "", NULL, 0, 0);
    assert_int_equal(a.row_count, 3);

    uint64_t id = host_send(&b, PAWL_VERB_BREAK, "jobs/2", NULL, 0, 0, second.fence - 1);
    assert_int_equal(host_wait(&b, id).outcome, PAWL_NOT_OWNER);
    id = host_send(&b, PAWL_VERB_BREAK, "jobs/2", NULL, 0, 0, second.fence);
    assert_int_equal(host_wait(&b, id).outcome, PAWL_RELEASED);
    assert_true(host_push_of(&b, PAWL_PUSH_GRANT).fence > second.fence);
    host_push_of(&a, PAWL_PUSH_RECHECK); /* the old holder is made to look */
    assert_int_equal(host_call(&a, PAWL_VERB_RENEW, "jobs/2", host_token(2), TTL, 0).outcome,
                     PAWL_NOT_OWNER);
    host_close(&a);
    host_close(&b);
}

static void test_list_of_many(void **state)
{
    (void)state;
    uint64_t id = 0;
    host_open(&a, path);
    for (int i = 0; i < 200; i++) {
        char name[32];
        snprintf(name, sizeof(name), "n%03d", i);
        id = host_send(&a, PAWL_VERB_ACQUIRE, name, host_token(i), TTL, 0, 0);
    }
    host_wait(&a, id);
    a.row_count = 0;
    host_call(&a, PAWL_VERB_LIST, "n", NULL, 0, 0);
    assert_int_equal(a.row_count, 200);
    for (int i = 1; i < 200; i++) assert_true(strcmp(a.rows[i - 1].name, a.rows[i].name) < 0);
    host_close(&a);
}

/* Rule 4: a release that follows an acquire undoes it, without waiting for its answer. */
static void test_requests_keep_their_order(void **state)
{
    (void)state;
    uint64_t last = 0;
    host_open(&a, path);
    for (int i = 0; i < 50; i++) {
        host_send(&a, PAWL_VERB_ACQUIRE, "n", host_token(i), TTL, 0, 0);
        last = host_send(&a, PAWL_VERB_RELEASE, "n", host_token(i), 0, 0, 0);
    }
    assert_int_equal(host_wait(&a, last).outcome, PAWL_RELEASED);
    for (size_t i = 0; i < a.reply_count; i++) {
        assert_int_equal(a.replies[i].id, i + 1);
        assert_int_equal(a.replies[i].outcome, i % 2 ? PAWL_RELEASED : PAWL_GRANTED);
    }
    host_close(&a);
}

static void test_close_carries_out_what_was_flushed(void **state)
{
    enum { LOCKS = 200 }; /* several batches */
    char name[32];
    uint64_t id = 0;
    (void)state;
    host_open(&a, path);
    host_open(&b, path);
    for (int i = 0; i < LOCKS; i++) {
        snprintf(name, sizeof(name), "n%d", i);
        id = host_send(&a, PAWL_VERB_ACQUIRE, name, host_token(i), TTL, PAWL_ASK_DETACHED, 0);
    }
    host_wait(&a, id);
    for (int i = 0; i < LOCKS; i++) {
        snprintf(name, sizeof(name), "n%d", i);
        host_send(&a, PAWL_VERB_RELEASE, name, host_token(i), 0, 0, 0);
    }
    host_close(&a);
    b.row_count = 0;
    assert_int_equal(host_call(&b, PAWL_VERB_LIST, "", NULL, 0, 0).outcome, PAWL_REPORTED);
    assert_int_equal(b.row_count, 0);
    host_close(&b);
}

static void test_names_are_bytes(void **state)
{
    char longest[PAWL_NAME_MAX + 1];
    (void)state;
    memset(longest, 'x', PAWL_NAME_MAX);
    longest[PAWL_NAME_MAX] = '\0';
    host_open(&a, path);
    assert_int_equal(acquire(&a, longest, 1).outcome, PAWL_GRANTED);
    assert_int_equal(acquire(&a, "\xff' OR 1=1 --\x01", 2).outcome, PAWL_GRANTED);
    assert_int_equal(acquire(&a, "N", 3).outcome, PAWL_GRANTED);
    assert_int_equal(acquire(&a, "n", 4).outcome, PAWL_GRANTED);
    assert_int_equal(acquire(&a, longest, 5).outcome, PAWL_QUEUED);
    assert_string_equal(inspect(&a, longest, NULL).name, longest);
    host_close(&a);
}

/* ---- Fences -------------------------------------------------------------------- */

static void test_fence_survives_the_row(void **state)
{
    (void)state;
    host_open(&a, path);
    uint64_t fence = acquire(&a, "n", 1).fence;
    release(&a, "n", 1);
    /* As if the clock had stood an hour ahead at that grant, and a minute had passed since. */
    sql("UPDATE lock SET fence = fence + 3600000000, expires_at = 1");
    uint64_t high = fence + UINT64_C(3600000000);
    /* Another new name clears old rows. */
    acquire(&a, "m", 2);
    assert_int_equal(sql_int("SELECT count(*) FROM lock WHERE name = CAST('n' AS BLOB)"), 0);
    assert_true(acquire(&a, "n", 3).fence > high);
    host_close(&a);
}

static void test_fence_survives_lost_commits(void **state)
{
    (void)state;
    host_open(&a, path);
    uint64_t fence = acquire(&a, "n", 1).fence;
    uint64_t ceiling = (uint64_t)sql_int("SELECT fence_ceiling FROM host");
    assert_true(ceiling > fence);
    host_close(&a);
    /* A power cut: the grant is lost with all rows, only what was forced to the disk is there. */
    sql("DELETE FROM lock; UPDATE host SET fence_floor = 0, boot = 'another boot'");
    host_open(&a, path);
    assert_true(acquire(&a, "n", 2).fence > ceiling);
    host_close(&a);
}

static void test_fence_reaches_the_ceiling(void **state)
{
    (void)state;
    host_open(&a, path);
    uint64_t fence = acquire(&a, "n", 1).fence;
    release(&a, "n", 1);
    sql("UPDATE host SET fence_ceiling = 5");
    seen_reply r = acquire(&a, "n", 2);
    assert_int_equal(r.outcome, PAWL_GRANTED);
    assert_true(r.fence > fence);
    assert_true(r.fence < (uint64_t)sql_int("SELECT fence_ceiling FROM host"));
    host_close(&a);
}

static void test_old_rows_are_cleared(void **state)
{
    char name[32];
    uint64_t id = 0;
    (void)state;
    host_open(&a, path);
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "once-%d", i);
        host_send(&a, PAWL_VERB_ACQUIRE, name, host_token(i), TTL, 0, 0);
        /* Every other one is never released: its holder crashed, say. */
        if (i % 2) continue;
        id = host_send(&a, PAWL_VERB_RELEASE, name, host_token(i), 0, 0, 0);
        host_wait(&a, id);
    }
    sql("UPDATE lock SET expires_at = 1");
    for (int i = 0; i < 60; i++) {
        snprintf(name, sizeof(name), "later-%d", i);
        assert_int_equal(acquire(&a, name, 1000 + i).outcome, PAWL_GRANTED);
    }
    assert_int_equal(sql_int("SELECT count(*) FROM lock WHERE expires_at = 1"), 0);
    host_close(&a);
}

/* ---- Boots, clocks, liveness --------------------------------------------------- */

static void test_another_boot(void **state)
{
    (void)state;
    host_open(&a, path);
    host_call(&a, PAWL_VERB_ACQUIRE, "n", host_token(1), TTL, PAWL_ASK_DETACHED);
    acquire(&a, "n", 2);
    host_close(&a);
    uint64_t fence = (uint64_t)sql_int("SELECT fence FROM lock");
    sql("UPDATE host SET boot = '00000000-0000-4000-8000-000000000000';"
        "UPDATE lock SET expires_at = 9000000000000000000;"
        "UPDATE wait SET until_at = 9000000000000000000");
    host_open(&a, path);
    seen_reply r = acquire(&a, "n", 3);
    assert_int_equal(r.outcome, PAWL_GRANTED);
    assert_true(r.fence > fence);
    assert_int_equal(inspect(&a, "n", NULL).waiter_count, 0);
    host_close(&a);
}

static void test_time_namespace_text(void **state)
{
    int64_t shift = 0;
    (void)state;
    assert_int_equal(pawl__sqlite_parse_timens("", &shift), 0);
    assert_int_equal(shift, 0);
    assert_int_equal(
        pawl__sqlite_parse_timens("monotonic  1  2\nboottime  -3  500000000\n", &shift), 0);
    assert_true(shift == -2500000000);
    assert_int_equal(pawl__sqlite_parse_timens("boottime x\n", &shift), -1);
}

static void live_path(char *ret_path, const char *suffix)
{
    snprintf(ret_path, 160, "%s%s", path, suffix);
}

/* Without its live file nobody is proved dead: leases only run out (law 1). */
static void test_live_file_replaced(void **state)
{
    char live[160];
    (void)state;
    live_path(live, "-live");
    host_open(&a, path);
    assert_int_equal(acquire(&a, "n", 1).outcome, PAWL_GRANTED);
    assert_int_equal(unlink(live), 0);
    host_open(&b, path); /* makes a new one, in which nobody has a byte */
    assert_int_equal(acquire(&b, "n", 2).outcome, PAWL_QUEUED);
    /* The holder follows to the new file and is tied again. */
    assert_int_equal(host_call(&a, PAWL_VERB_RENEW, "n", host_token(1), TTL, 0).outcome,
                     PAWL_CONFIRMED);
    assert_true(sql_int("SELECT live FROM lock") > 0);
    assert_int_equal(acquire(&b, "n", 2).outcome, PAWL_QUEUED);
    host_close(&a); /* closing ends what was not released */
    assert_int_equal(acquire(&b, "n", 2).outcome, PAWL_GRANTED);
    host_close(&b);
}

static void test_live_file_copied(void **state)
{
    char live[160], command[800];
    (void)state;
    live_path(live, "-live");
    host_open(&a, path);
    assert_int_equal(acquire(&a, "n", 1).outcome, PAWL_GRANTED);
    snprintf(command, sizeof(command), "cp '%s' '%s.copy' && mv '%s.copy' '%s'", live, live, live,
             live);
    assert_int_equal(system(command), 0);
    host_open(&b, path);
    assert_int_equal(acquire(&b, "n", 2).outcome, PAWL_QUEUED);
    host_close(&a);
    host_close(&b);
}

static void test_no_live_file(void **state)
{
    char live[160];
    (void)state;
    live_path(live, "-live");
    assert_int_equal(mkdir(live, 0700), 0);
    host_open(&a, path);
    assert_false(pawl_store_entry.caps(a.store)->instant_release);
    assert_int_equal(acquire(&a, "n", 1).outcome, PAWL_GRANTED);
    assert_int_equal(acquire(&a, "n", 2).outcome, PAWL_QUEUED);
    assert_int_equal(host_call(&a, PAWL_VERB_DOCTOR, "", NULL, 0, 0).outcome, PAWL_REPORTED);
    assert_int_equal(a.worst_finding, PAWL_FINDING_WARNING);
    assert_string_equal(a.topics, "liveness ");
    host_close(&a);
}

/* ---- The file goes away -------------------------------------------------------- */

static void test_file_removed(void **state)
{
    (void)state;
    host_open(&a, path);
    acquire(&a, "n", 1);
    assert_int_equal(unlink(path), 0);
    seen_reply r = host_call(&a, PAWL_VERB_RENEW, "n", host_token(1), TTL, 0);
    assert_int_equal(r.outcome, PAWL_FAILED);
    assert_int_equal(r.err, PAWL_ERR_UNAVAILABLE);
    while (a.ups < 2) host_run_ms(&a, 1); /* down and up again, by itself */
    assert_int_equal(a.downs, 1);
    assert_int_equal(a.down_err, PAWL_ERR_UNAVAILABLE);
    assert_non_null(strstr(a.down_message, path));
    assert_int_equal(host_call(&a, PAWL_VERB_RENEW, "n", host_token(1), TTL, 0).outcome,
                     PAWL_NOT_OWNER);
    assert_int_equal(acquire(&a, "n", 2).outcome, PAWL_GRANTED);
    host_close(&a);
}

/* Only the database is deleted, while two use it: they meet again in a sound new one. */
static void test_file_removed_under_two(void **state)
{
    (void)state;
    for (int round = 0; round < 5; round++) {
        host_open(&a, path);
        host_open(&b, path);
        acquire(&a, "n", 1);
        acquire(&b, "n", 2);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(acquire(&a, "n", 1).outcome, PAWL_FAILED);
        while (a.ups < 2) host_run_ms(&a, 1);
        assert_int_equal(acquire(&a, "n", 1).outcome, PAWL_GRANTED);
        assert_int_equal(acquire(&b, "n", 2).outcome, PAWL_FAILED);
        while (b.ups < 2) host_run_ms(&b, 1);
        assert_int_equal(acquire(&b, "n", 2).outcome, PAWL_QUEUED);
        host_call(&b, PAWL_VERB_DOCTOR, "", NULL, 0, 0);
        assert_int_equal(b.worst_finding, PAWL_FINDING_OK);
        assert_int_equal(release(&a, "n", 1).outcome, PAWL_RELEASED);
        host_push_of(&b, PAWL_PUSH_GRANT);
        host_close(&a);
        host_close(&b);
    }
}

/* A holder that lost sight of the file for a while lives: nobody gets its lock (law 1). */
static void test_holder_without_link_still_holds(void **state)
{
    char away[160];
    (void)state;
    snprintf(away, sizeof(away), "%s/away.db", dir);
    host_open(&a, path);
    host_open(&b, path);
    seen_reply held = acquire(&a, "n", 1);
    assert_int_equal(rename(path, away), 0);
    assert_int_equal(symlink("/dev/null", path), 0);
    assert_int_equal(host_call(&a, PAWL_VERB_RENEW, "n", host_token(1), TTL, 0).outcome,
                     PAWL_FAILED);
    while (a.downs < 2) host_run_ms(&a, 1); /* it was replaced; and what is there is no file */
    assert_int_equal(rename(away, path), 0);
    assert_int_equal(acquire(&b, "n", 2).outcome, PAWL_QUEUED);
    while (!a.up) host_run_ms(&a, 1);
    seen_reply r = host_call(&a, PAWL_VERB_RENEW, "n", host_token(1), TTL, 0);
    assert_int_equal(r.outcome, PAWL_CONFIRMED);
    assert_true(r.fence == held.fence);
    assert_int_equal(acquire(&b, "n", 2).outcome, PAWL_QUEUED);
    host_close(&a);
    assert_int_equal(acquire(&b, "n", 2).outcome, PAWL_GRANTED);
    host_close(&b);
}

/* ---- Files that are refused ---------------------------------------------------- */

static void write_file(const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static bool went_down(host *h)
{
    return h->downs > 0;
}

/*
 * Opens; the link should fail with err and one line that contains word. Returns what
 * is wrong, or NULL: it also runs in children, where cmocka's asserts have no place.
 */
static const char *refusal_problem(const char *file, pawl_err err, const char *word)
{
    static char problem[PAWL_MESSAGE_MAX + 128];
    problem[0] = '\0';
    host_start(&a, file);
    while (!went_down(&a) && !a.up) host_run_ms(&a, 5);
    if (a.up) return "it was opened";
    if (a.down_err != err || !strstr(a.down_message, word) || strchr(a.down_message, '\n')) {
        snprintf(problem, sizeof(problem), "%s: %s", pawl_err_name(a.down_err), a.down_message);
    }
    seen_reply r = acquire(&a, "n", 1);
    if (r.outcome != PAWL_FAILED || r.err != err) strcat(problem, "; wrong reply");
    host_close(&a);
    return problem[0] ? problem : NULL;
}

static void expect_refusal_of(const char *file, pawl_err err, const char *word)
{
    const char *problem = refusal_problem(file, err, word);
    if (problem) fail_msg("%s: %s", file, problem);
}

static void expect_refusal(pawl_err err)
{
    expect_refusal_of(path, err, path);
}

static void test_not_a_database(void **state)
{
    (void)state;
    char text[9000];
    memset(text, 'z', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    write_file(text);
    expect_refusal(PAWL_ERR_CORRUPT);
    write_file("short");
    expect_refusal(PAWL_ERR_CORRUPT);
}

static void test_damaged_database(void **state)
{
    (void)state;
    host_open(&a, path);
    acquire(&a, "n", 1);
    host_close(&a);
    sql("PRAGMA wal_checkpoint(TRUNCATE)");
    int fd = open(path, O_WRONLY);
    char garbage[4096];
    memset(garbage, 0xA5, sizeof(garbage));
    for (int page = 1; page < 6; page++) {
        assert_int_equal(pwrite(fd, garbage, sizeof(garbage), page * 4096), sizeof(garbage));
    }
    close(fd);
    expect_refusal(PAWL_ERR_CORRUPT);
}

static void test_newer_version(void **state)
{
    (void)state;
    host_open(&a, path);
    host_close(&a);
    sql("PRAGMA user_version = 2");
    expect_refusal(PAWL_ERR_VERSION);
    /* And it is not touched. */
    assert_int_equal(sql_int("PRAGMA user_version"), 2);
}

static void test_database_of_another_program(void **state)
{
    (void)state;
    sql("CREATE TABLE accounts(x)");
    expect_refusal(PAWL_ERR_WRONG_TYPE);
    assert_int_equal(sql_int("SELECT count(*) FROM sqlite_schema"), 1);
}

static void test_no_such_directory(void **state)
{
    char file[160];
    (void)state;
    snprintf(file, sizeof(file), "%s/none/locks.db", dir);
    expect_refusal_of(file, PAWL_ERR_UNAVAILABLE, file);
    expect_refusal_of(dir, PAWL_ERR_WRONG_TYPE, dir);
}

static int nfs_statfs(const char *where, struct statfs *ret)
{
    int rc = statfs(where, ret);
    ret->f_type = NFS_SUPER_MAGIC;
    return rc;
}

static void test_network_filesystem(void **state)
{
    (void)state;
    pawl__sqlite_statfs = nfs_statfs;
    expect_refusal_of(path, PAWL_ERR_NETWORK_FS, "NFS");
    pawl__sqlite_statfs = statfs;
    assert_int_equal(access(path, F_OK), -1);
    assert_null(pawl__sqlite_shared_fs_name(EXT4_SUPER_MAGIC));
    assert_null(pawl__sqlite_shared_fs_name(TMPFS_MAGIC));
    assert_string_equal(pawl__sqlite_shared_fs_name((long)0xFF534D42), "CIFS");
    assert_string_equal(pawl__sqlite_shared_fs_name((long)(int)0xFF534D42), "CIFS");
}

/* In a child that is nobody: root may write everything. check returns what is wrong. */
static void as_nobody(const char *(*check)(void))
{
    pid_t pid = fork();
    if (pid == 0) {
        if (geteuid() == 0 && (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534))) {
            _exit(2);
        }
        const char *problem = check();
        if (problem) fprintf(stderr, "as nobody: %s\n", problem);
        _exit(problem ? 1 : 0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void open_to_all(void)
{
    char command[300];
    host_open(&a, path);
    host_close(&a);
    snprintf(command, sizeof(command), "chmod 777 '%s' && chmod -R a+rwX '%s'/*", dir, dir);
    assert_int_equal(system(command), 0);
}

static const char *check_readonly(void)
{
    return refusal_problem(path, PAWL_ERR_READONLY, path);
}

static const char *check_permission(void)
{
    return refusal_problem(path, PAWL_ERR_PERMISSION, path);
}

static const char *check_dir_permission(void)
{
    return refusal_problem(path, PAWL_ERR_PERMISSION, dir);
}

static void test_read_only_and_forbidden(void **state)
{
    (void)state;
    open_to_all();
    assert_int_equal(chmod(path, 0444), 0);
    as_nobody(check_readonly);
    assert_int_equal(chmod(path, 0640), 0);
    as_nobody(check_permission);
    assert_int_equal(chmod(path, 0666), 0);
    assert_int_equal(chmod(dir, 0555), 0);
    char command[300];
    snprintf(command, sizeof(command), "rm -f '%s'-wal '%s'-shm", path, path);
    assert_int_equal(system(command), 0);
    as_nobody(check_dir_permission);
    assert_int_equal(unlink(path), 0);
    as_nobody(check_permission);
    assert_int_equal(chmod(dir, 0755), 0);
}

/* ---- A full or read-only filesystem -------------------------------------------- */

static bool mount_small(const char *size)
{
    if (mount("tmpfs", dir, "tmpfs", 0, size) == 0) return true;
    print_message("SKIP: mounting a small filesystem needs root\n");
    return false;
}

static void test_read_only_filesystem(void **state)
{
    (void)state;
    if (!mount_small("size=4m")) skip();
    host_open(&a, path);
    host_close(&a);
    assert_int_equal(mount(NULL, dir, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
    host_start(&a, path);
    while (!went_down(&a)) host_run_ms(&a, 5);
    pawl_err err = a.down_err;
    /* It recovers by itself. */
    assert_int_equal(mount(NULL, dir, NULL, MS_REMOUNT, NULL), 0);
    host_run_until(&a, &a.up);
    host_close(&a);
    assert_int_equal(umount(dir), 0);
    assert_int_equal(err, PAWL_ERR_READONLY);
}

static void test_full_disk(void **state)
{
    char filler[160];
    static char block[4096];
    (void)state;
    if (!mount_small("size=1m")) skip();
    host_open(&a, path);
    seen_reply held = acquire(&a, "held", 1);
    snprintf(filler, sizeof(filler), "%s/filler", dir);
    int fd = open(filler, O_WRONLY | O_CREAT, 0600);
    while (write(fd, block, sizeof(block)) > 0) {
    }
    close(fd);

    seen_reply full = {.outcome = PAWL_GRANTED};
    for (int i = 0; i < 1000 && full.outcome == PAWL_GRANTED; i++) {
        char name[300];
        snprintf(name, sizeof(name), "%0280d", i);
        full = acquire(&a, name, 10 + i);
    }
    unlink(filler);
    bool back = a.up;
    if (!back) host_run_until(&a, &a.up);
    seen_reply renewed = host_call(&a, PAWL_VERB_RENEW, "held", host_token(1), TTL, 0);
    host_close(&a);
    assert_int_equal(umount(dir), 0);
    assert_int_equal(full.outcome, PAWL_FAILED);
    assert_int_equal(full.err, PAWL_ERR_STORE_FULL);
    assert_int_equal(renewed.outcome, PAWL_CONFIRMED);
    assert_true(renewed.fence == held.fence);
}

/* ---- The log does not grow without bound --------------------------------------- */

/* Whether the file at path + suffix has less than so many MB. */
static bool is_below(const char *suffix, int mb)
{
    char file[160];
    struct stat st;
    live_path(file, suffix);
    assert_int_equal(stat(file, &st), 0);
    return st.st_size < (off_t)mb << 20;
}

/* More is written than may stay: the log starts over, though how soon depends on the disk. */
static void test_files_stay_small(void **state)
{
    int64_t until = host_now() + HOST_WAIT_MS * INT64_C(1000000);
    int written = 0;
    (void)state;
    host_open(&a, path);
    host_open(&b, path);
    acquire(&a, "n", 1);
    while (written < 6000 || !is_below("-wal", 8)) { /* 6000 renewals write 48 MB */
        host_send(&a, PAWL_VERB_RENEW, "n", host_token(1), TTL, 0, 0);
        host_call(&b, PAWL_VERB_RENEW, "n", host_token(1), TTL, 0);
        written += 2;
        assert_true(host_now() < until);
    }
    assert_true(is_below("", 1));
    host_close(&a);
    host_close(&b);
}

/* ---- URLs
 * ---------------------------------------------------------------------------------------------------------
 */

static int open_url(const pawl_url *url, char *message)
{
    pawl_store *store;
    host_start(&a, path); /* for its host */
    int rc = pawl_store_entry.open(&a.host, url, &store, message);
    if (rc == 0) pawl_store_entry.close(store);
    host_close(&a);
    return rc;
}

static void test_urls(void **state)
{
    char message[PAWL_MESSAGE_MAX], cwd[PATH_MAX], expected[PATH_MAX + 8], got[PATH_MAX];
    (void)state;
    pawl_url url = host_url("rel.db");
    assert_non_null(getcwd(cwd, sizeof(cwd)));
    snprintf(expected, sizeof(expected), "%s/rel.db", cwd);
    assert_int_equal(pawl__sqlite_path_of_url(&url, got, message), 0);
    assert_string_equal(got, expected);
    url = host_url("");
    assert_int_equal(pawl__sqlite_path_of_url(&url, got, message), 0);
    assert_string_equal(got, "");
    url = host_url("/dir/");
    assert_int_equal(open_url(&url, message), PAWL_ERR_URL);
    url = host_url("/file");
    url.host = "server";
    assert_int_equal(open_url(&url, message), PAWL_ERR_URL);
    url = host_url(path);
    url.option_count = 1;
    url.options[0] = (pawl_url_option){"wal", "no"};
    assert_int_equal(open_url(&url, message), PAWL_ERR_OPTION);
    assert_non_null(strstr(message, "wal"));
    url.options[0] = (pawl_url_option){"mode", "0999"};
    assert_int_equal(open_url(&url, message), PAWL_ERR_OPTION);
    url.options[0] = (pawl_url_option){"mode", "0666"};
    assert_int_equal(open_url(&url, message), 0);
}

static void test_file_modes(void **state)
{
    static const struct {
        const char *suffix;
        mode_t mode;
    } expected[] = {{"", 0660}, {"-live", 0660}, {"-wal", 0660}, {"-inbox", 0770}};
    char file[160];
    struct stat st;
    (void)state;
    mode_t before = umask(007);
    host_open(&a, path);
    acquire(&a, "n", 1);
    umask(before);
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        live_path(file, expected[i].suffix);
        assert_int_equal(stat(file, &st), 0);
        assert_int_equal(st.st_mode & 0777, expected[i].mode);
    }
    host_close(&a);
}

/* ---- fork
 * ------------------------------------------------------------------------------------------------------------
 */

/* Law 9: the child forgets; the parent's lease, connection and file locks are as before. */
static void test_forget_in_a_child(void **state)
{
    (void)state;
    host_open(&a, path);
    host_open(&b, path);
    acquire(&a, "n", 1);
    acquire(&b, "n", 2);
    pid_t pid = fork();
    if (pid == 0) {
        pawl_store_entry.forget(a.store);
        pawl_store_entry.forget(b.store);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(host_call(&a, PAWL_VERB_RENEW, "n", host_token(1), TTL, 0).outcome,
                     PAWL_CONFIRMED);
    assert_int_equal(acquire(&b, "n", 2).outcome, PAWL_QUEUED);
    release(&a, "n", 1);
    host_push_of(&b, PAWL_PUSH_GRANT);
    assert_int_equal(acquire(&a, "m", 3).outcome, PAWL_GRANTED);
    host_close(&a);
    host_close(&b);
}

/* ---- Letters
 * -------------------------------------------------------------------------------------------------------------
 */

static void test_letters_are_checked(void **state)
{
    pawl__letter letter;
    const size_t head = offsetof(pawl__letter, name);
    (void)state;
    pawl__letter_write(&letter, PAWL_PUSH_GRANT, "name", 4, host_token(1), 7, true);
    assert_true(pawl__letter_is_valid(&letter, head + 4));
    assert_false(pawl__letter_is_valid(&letter, head + 5));
    assert_false(pawl__letter_is_valid(&letter, head));
    assert_false(pawl__letter_is_valid(&letter, 3));
    pawl__letter bad = letter;
    bad.kind = 9;
    assert_false(pawl__letter_is_valid(&bad, head + 4));
    bad = letter;
    bad.magic[0] = 'x';
    assert_false(pawl__letter_is_valid(&bad, head + 4));
    bad = letter;
    bad.name[1] = '\0';
    assert_false(pawl__letter_is_valid(&bad, head + 4));
    bad = letter;
    bad.token[3] = '\0';
    assert_false(pawl__letter_is_valid(&bad, head + 4));
    bad = letter;
    bad.name_len = PAWL_NAME_MAX + 1;
    assert_false(pawl__letter_is_valid(&bad, sizeof(bad)));
}

/* Sockets that crashed clients left are removed by who opens next; a living one is not. */
static void test_stale_sockets_are_removed(void **state)
{
    char inbox_path[160];
    pawl__sqlite_inbox inbox;
    (void)state;
    live_path(inbox_path, "-inbox");
    host_open(&a, path);
    const struct stat like = {.st_mode = 0600, .st_uid = geteuid(), .st_gid = getegid()};
    assert_int_equal(pawl__sqlite_inbox_open(&inbox, inbox_path, &like), 0);
    const char *stale = "00000000000000000000000000000001";
    close(pawl__sqlite_inbox_bind(&inbox, stale, &like));
    assert_true(pawl__sqlite_inbox_is_bound(&inbox, stale));
    host_open(&b, path);
    assert_false(pawl__sqlite_inbox_is_bound(&inbox, stale));
    assert_true(pawl__sqlite_inbox_is_bound(&inbox, a.client_id));

    pawl__letter letter;
    close(pawl__sqlite_inbox_bind(&inbox, stale, &like));
    pawl__letter_write(&letter, PAWL_PUSH_RECHECK, "n", 1, NULL, 0, false);
    assert_int_equal(pawl__sqlite_inbox_post(&inbox, stale, &letter), PAWL__POST_GONE);
    assert_false(pawl__sqlite_inbox_is_bound(&inbox, stale));
    assert_int_equal(pawl__sqlite_inbox_post(&inbox, stale, &letter), PAWL__POST_GONE);
    assert_int_equal(pawl__sqlite_inbox_post(&inbox, "../../etc/x", &letter), PAWL__POST_FAILED);
    assert_int_equal(pawl__sqlite_inbox_post(&inbox, a.client_id, &letter), PAWL__POST_SENT);
    assert_int_equal(host_push(&a).kind, PAWL_PUSH_RECHECK);
    pawl__sqlite_inbox_close(&inbox);
    host_close(&a);
    host_close(&b);
}

/* A receiver that does not read for a while gets its grants when it does. */
static void test_receiver_that_does_not_keep_up(void **state)
{
    char name[32];
    uint64_t id = 0;
    enum { LOCKS = 100 };
    (void)state;
    host_open(&a, path);
    host_open(&b, path);
    for (int i = 0; i < LOCKS; i++) {
        snprintf(name, sizeof(name), "n%d", i);
        acquire(&a, name, i);
        acquire(&b, name, LOCKS + i);
    }
    for (int i = 0; i < LOCKS; i++) { /* b's loop does not run meanwhile */
        snprintf(name, sizeof(name), "n%d", i);
        id = host_send(&a, PAWL_VERB_RELEASE, name, host_token(i), 0, 0, 0);
    }
    host_wait(&a, id);
    for (int i = 0; i < LOCKS; i++) host_push_of(&b, PAWL_PUSH_GRANT);
    host_close(&a);
    host_close(&b);
}

/* ---- A grant that is faster than the reply ------------------------------------- */

static sqlite3 *blocker;

/* Keeps the worker busy: nobody can write until unblock(). */
static void block(void)
{
    assert_int_equal(sqlite3_open(path, &blocker), SQLITE_OK);
    sqlite3_busy_timeout(blocker, HOST_WAIT_MS);
    assert_int_equal(sqlite3_exec(blocker, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
}

static void unblock(void)
{
    assert_int_equal(sqlite3_exec(blocker, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(blocker);
}

static void post_grant(const host *to, const char *token)
{
    char inbox_path[160];
    pawl__sqlite_inbox inbox;
    pawl__letter letter;
    struct stat like = {.st_mode = 0600};
    live_path(inbox_path, "-inbox");
    assert_int_equal(pawl__sqlite_inbox_open(&inbox, inbox_path, &like), 0);
    pawl__letter_write(&letter, PAWL_PUSH_GRANT, "n", 1, token, 77, false);
    assert_int_equal(pawl__sqlite_inbox_post(&inbox, to->client_id, &letter), PAWL__POST_SENT);
    pawl__sqlite_inbox_close(&inbox);
}

static void test_grant_waits_for_the_reply(void **state)
{
    (void)state;
    host_open(&a, path);
    host_open(&b, path);
    acquire(&a, "n", 1);
    block();
    uint64_t id = host_send(&b, PAWL_VERB_ACQUIRE, "n", host_token(2), TTL, PAWL_ASK_QUEUE, 0);
    post_grant(&b, host_token(2));
    post_grant(&b, host_token(3)); /* for another token: nothing to wait for */
    assert_string_equal(host_push(&b).token, host_token(3));
    assert_int_equal(b.push_count, 1);
    assert_int_equal(b.reply_count, 0);
    unblock();
    assert_int_equal(host_wait(&b, id).outcome, PAWL_QUEUED);
    assert_string_equal(host_push(&b).token, host_token(2));
    host_close(&a);
    host_close(&b);
}

/* A request that the worker could not begin is answered in time, and certainly not done. */
static void test_answers_come_in_time(void **state)
{
    (void)state;
    host_open(&a, path);
    block();
    a.answer_ms = 60;
    uint64_t first = host_send(&a, PAWL_VERB_ACQUIRE, "n", host_token(1), TTL, 0, 0), last = 0;
    for (int i = 0; i < 40; i++) { /* more than a batch */
        last = host_send(&a, PAWL_VERB_ACQUIRE, "n", host_token(2), TTL, 0, 0);
    }
    int64_t at = host_now();
    seen_reply r = host_wait(&a, first);
    assert_int_equal(r.outcome, PAWL_FAILED);
    assert_int_equal(r.err, PAWL_ERR_STORE_BUSY);
    r = host_wait(&a, last);
    assert_int_equal(r.outcome, PAWL_FAILED);
    assert_int_equal(r.err, PAWL_ERR_STORE_BUSY);
    assert_true(host_now() - at < INT64_C(3000000000));
    assert_int_equal(a.reply_count, 41);
    unblock();
    a.answer_ms = 5000;
    assert_int_equal(acquire(&a, "n", 3).outcome, PAWL_GRANTED);
    host_close(&a);
}

/* ---- The default file ------------------------------------------------------------ */

static const char *check_default_path(void)
{
    char found[PATH_MAX], message[PAWL_MESSAGE_MAX], private_dir[PATH_MAX], expected[64];
    struct stat st;
    if (pawl__sqlite_path_prepare("", 0, found, &st, message) != 0) return "no default file";
    if (st.st_uid != geteuid()) return "the file is not ours";
    snprintf(expected, sizeof(expected), "/pawl-%u/pawl.db", (unsigned)geteuid());
    if (!strstr(found, expected)) return "not a file for each user";
    strcpy(private_dir, found);
    *strrchr(private_dir, '/') = '\0';
    if (stat(private_dir, &st) < 0 || st.st_uid != geteuid()) return "the directory is not ours";
    if (st.st_mode & 022) return "others may write in the directory";
    /* Others may write there: refused, not used. */
    if (chmod(private_dir, 0777) < 0) return "chmod";
    int rc = pawl__sqlite_path_prepare("", 0, found, &st, message);
    chmod(private_dir, 0700);
    if (stat(found, &st) == 0 && st.st_size == 0 && unlink(found) == 0) rmdir(private_dir);
    return rc == PAWL_ERR_PERMISSION ? NULL : "a directory that all may write was used";
}

static void test_default_path(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        print_message("SKIP: only root can be a user that nobody else is\n");
        skip();
    }
    as_nobody(check_default_path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        TEST(test_acquire_is_idempotent),
        TEST(test_only_the_owner),
        TEST(test_busy_without_queue_forgets),
        TEST(test_no_barging_after_expiry),
        TEST(test_inspect_list_break),
        TEST(test_list_of_many),
        TEST(test_requests_keep_their_order),
        TEST(test_close_carries_out_what_was_flushed),
        TEST(test_names_are_bytes),
        TEST(test_fence_survives_the_row),
        TEST(test_fence_survives_lost_commits),
        TEST(test_fence_reaches_the_ceiling),
        TEST(test_old_rows_are_cleared),
        TEST(test_another_boot),
        TEST(test_time_namespace_text),
        TEST(test_live_file_replaced),
        TEST(test_live_file_copied),
        TEST(test_no_live_file),
        TEST(test_file_removed),
        TEST(test_file_removed_under_two),
        TEST(test_holder_without_link_still_holds),
        TEST(test_not_a_database),
        TEST(test_damaged_database),
        TEST(test_newer_version),
        TEST(test_database_of_another_program),
        TEST(test_no_such_directory),
        TEST(test_network_filesystem),
        TEST(test_read_only_and_forbidden),
        TEST(test_read_only_filesystem),
        TEST(test_full_disk),
        TEST(test_files_stay_small),
        TEST(test_urls),
        TEST(test_file_modes),
        TEST(test_forget_in_a_child),
        TEST(test_letters_are_checked),
        TEST(test_stale_sockets_are_removed),
        TEST(test_receiver_that_does_not_keep_up),
        TEST(test_grant_waits_for_the_reply),
        TEST(test_answers_come_in_time),
        TEST(test_default_path),
#undef TEST
    };
    return cmocka_run_group_tests_name("sqlite store", tests, NULL, NULL);
}
