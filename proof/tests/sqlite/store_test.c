/* SPDX-License-Identifier: MIT */
/* The SQLite store in one process: leases, fences, clocks, liveness, fork, letters. */
#define _GNU_SOURCE
#include "place.h"

#include "stores/sqlite/sqlite_db.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

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
    /* A lease that is gone is not made again. */
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
    assert_true(row.first_place_ms > 0 && row.first_place_ms <= pawl_place_span(TTL));
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
    sql("UPDATE lock SET fence = fence + 3600000000, expires_at = 1, look_at = 1");
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
    sql("UPDATE lock SET expires_at = 1, look_at = 1");
    for (int i = 0; i < 60; i++) {
        snprintf(name, sizeof(name), "later-%d", i);
        assert_int_equal(acquire(&a, name, 1000 + i).outcome, PAWL_GRANTED);
    }
    assert_int_equal(sql_int("SELECT count(*) FROM lock WHERE expires_at = 1"), 0);
    host_close(&a);
}

/* Rows that are still needed come first when it is looked for old ones. */
static void test_rows_in_use_hide_no_old_ones(void **state)
{
    char name[32];
    (void)state;
    host_open(&a, path);
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof(name), "held-%d", i);
        acquire(&a, name, i);
        snprintf(name, sizeof(name), "free-%d", i);
        acquire(&a, name, 100 + i);
        release(&a, name, 100 + i);
    }
    sql("UPDATE lock SET look_at = iif(token IS NULL, 2, 1);"
        "UPDATE lock SET expires_at = 1 WHERE token IS NULL");
    for (int i = 0; i < 10; i++) {
        snprintf(name, sizeof(name), "new-%d", i);
        acquire(&a, name, 1000 + i);
    }
    assert_int_equal(sql_int("SELECT count(*) FROM lock"), 30);
    assert_int_equal(sql_int("SELECT count(*) FROM lock WHERE look_at < 3"), 0);
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

/* A byte that is locked proves that the kernel is the same, whatever its boot id is said to be. */
static void test_boot_id_of_a_container(void **state)
{
    (void)state;
    host_open(&a, path);
    assert_int_equal(acquire(&a, "n", 1).outcome, PAWL_GRANTED);
    sql("UPDATE host SET boot = '00000000-0000-4000-8000-000000000000'");
    host_start(&b, path);
    while (b.downs == 0 && !b.up) host_run_ms(&b, 1);
    assert_int_equal(b.down_err, PAWL_ERR_UNSUPPORTED);
    assert_non_null(strstr(b.down_message, "00000000-0000-4000-8000-000000000000"));
    assert_non_null(strstr(b.down_message, path));
    assert_int_equal(sql_int("SELECT count(token) FROM lock"), 1);
    host_close(&a);
    host_run_until(&b, &b.up); /* the last of them has ended: now it is an earlier boot */
    assert_int_equal(acquire(&b, "n", 2).outcome, PAWL_GRANTED);
    host_close(&b);
}

/* An id that is not the kernel's may be another name of the same kernel: what stands is kept. */
static void test_boot_id_that_is_not_the_kernels(void **state)
{
    (void)state;
    host_open(&a, path);
    host_call(&a, PAWL_VERB_ACQUIRE, "n", host_token(1), TTL, PAWL_ASK_DETACHED);
    host_call(&a, PAWL_VERB_ACQUIRE, "m", host_token(2), TTL, PAWL_ASK_DETACHED);
    host_close(&a);
    sql("UPDATE host SET boot = '00000000-0000-4000-8000-000000000000 own';"
        "UPDATE lock SET expires_at = 9000000000000000000 WHERE name = CAST('m' AS BLOB)");
    host_open(&a, path);
    assert_int_equal(sql_int("SELECT count(*) FROM host WHERE length(boot) = 36"), 1);
    assert_int_equal(host_call(&a, PAWL_VERB_ACQUIRE, "n", host_token(3), TTL, 0).outcome,
                     PAWL_BUSY);
    assert_int_equal(host_call(&a, PAWL_VERB_ACQUIRE, "m", host_token(3), TTL, 0).outcome,
                     PAWL_GRANTED); /* no lease ends in 285 years: that was another boot's */
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

/* Without its live file nobody is proved dead: leases only run out (law 1). */
static void test_live_file_replaced(void **state)
{
    char live[160];
    (void)state;
    beside(live, "-live");
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
    beside(live, "-live");
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
    beside(live, "-live");
    assert_int_equal(mkdir(live, 0700), 0);
    host_open(&a, path);
    assert_false(pawl_store_entry.caps(a.store)->instant_release);
    assert_int_equal(acquire(&a, "n", 1).outcome, PAWL_GRANTED);
    assert_int_equal(acquire(&a, "n", 2).outcome, PAWL_QUEUED);
    assert_int_equal(host_call(&a, PAWL_VERB_DOCTOR, "", NULL, 0, 0).outcome, PAWL_REPORTED);
    assert_int_equal(a.worst_finding, PAWL_SEVERITY_WARNING);
    assert_string_equal(a.topics, "liveness ");
    host_close(&a);
}

/* ---- fork ---------------------------------------------------------------------- */

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

/* ---- Letters ------------------------------------------------------------------- */

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
    beside(inbox_path, "-inbox");
    host_open(&a, path);
    host_await_inbox(&a, path);
    const struct stat like = {.st_mode = 0600, .st_uid = geteuid(), .st_gid = getegid()};
    assert_int_equal(pawl__sqlite_inbox_open(&inbox, inbox_path, &like), 0);
    const char *stale = "00000000000000000000000000000001";
    close(pawl__sqlite_inbox_bind(&inbox, stale, &like));
    assert_true(pawl__sqlite_inbox_is_bound(&inbox, stale));
    host_open(&b, path);
    host_await_inbox(&b, path);
    host_close(&b); /* what it does beside is done */
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

/* An inbox is not made for a program that is gone in a moment. */
static void test_short_visit_makes_no_inbox(void **state)
{
    char inbox_path[160];
    struct stat st;
    bool made = true;
    (void)state;
    beside(inbox_path, "-inbox");
    for (int i = 0; i < 100 && made; i++) { /* a machine that stalls is not in a moment */
        host_open(&a, path);
        acquire(&a, "n", i);
        assert_int_equal(host_call(&a, PAWL_VERB_RELEASE, "n", host_token(i), 0, 0).outcome,
                         PAWL_RELEASED);
        host_close(&a);
        made = stat(inbox_path, &st) == 0;
        if (made) assert_int_equal(rmdir(inbox_path), 0); /* and its socket is gone */
    }
    assert_false(made);
}

/* A holder without an inbox is asked to yield a little later. */
static void test_yield_finds_a_new_holder(void **state)
{
    (void)state;
    host_open(&b, path);
    for (int i = 0; i < 10; i++) {
        host_open(&a, path);
        acquire(&a, "n", 2 * i);
        acquire(&b, "n", 2 * i + 1);
        assert_string_equal(host_push_of(&a, PAWL_PUSH_YIELD).token, host_token(2 * i));
        host_call(&a, PAWL_VERB_RELEASE, "n", host_token(2 * i), 0, 0);
        assert_string_equal(host_push_of(&b, PAWL_PUSH_GRANT).token, host_token(2 * i + 1));
        host_call(&b, PAWL_VERB_RELEASE, "n", host_token(2 * i + 1), 0, 0);
        host_close(&a);
    }
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
    beside(inbox_path, "-inbox");
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
    host_await_inbox(&b, path);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
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
        TEST(test_rows_in_use_hide_no_old_ones),
        TEST(test_another_boot),
        TEST(test_boot_id_of_a_container),
        TEST(test_boot_id_that_is_not_the_kernels),
        TEST(test_time_namespace_text),
        TEST(test_live_file_replaced),
        TEST(test_live_file_copied),
        TEST(test_no_live_file),
        TEST(test_forget_in_a_child),
        TEST(test_letters_are_checked),
        TEST(test_stale_sockets_are_removed),
        TEST(test_short_visit_makes_no_inbox),
        TEST(test_yield_finds_a_new_holder),
        TEST(test_receiver_that_does_not_keep_up),
        TEST(test_grant_waits_for_the_reply),
        TEST(test_answers_come_in_time),
    };
    return cmocka_run_group_tests_name("sqlite store", tests, NULL, NULL);
}
