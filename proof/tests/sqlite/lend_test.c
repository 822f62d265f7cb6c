/* SPDX-License-Identifier: MIT */
/* Which thread carries out what, and how many statements a pair is. */
#define _GNU_SOURCE
#include "stores/sqlite/sqlite_store.h"
/* its names come before the hosts a and b */
#include "place.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Of the connection of `a`, since the last `watch`. */
static struct {
    pthread_t loop;
    int by_loop, by_worker; /* statements */
    int commits;
} seen;

static int on_statement(unsigned kind, void *ctx, void *statement, void *text)
{
    (void)kind, (void)ctx, (void)statement;
    bool is_loop = pthread_equal(pthread_self(), seen.loop) != 0;
    seen.by_loop += is_loop;
    seen.by_worker += !is_loop;
    seen.commits += strcmp(text, "COMMIT") == 0;
    return 0;
}

/* Nothing is left to do for the worker of `a`: from now on only what is asked is done. */
static void await_rest(void)
{
    for (bool rests = false; !rests;) {
        host_run_ms(&a, 1);
        pthread_mutex_lock(&a.store->mutex);
        rests = a.store->resting && !a.store->wanted && pawl__list_empty(&a.store->queue) &&
                !pawl__sqlite_worker_is_due(a.store);
        pthread_mutex_unlock(&a.store->mutex);
    }
}

static void watch(void)
{
    await_rest();
    memset(&seen, 0, sizeof(seen));
    seen.loop = pthread_self();
    sqlite3_trace_v2(a.store->worker.db.handle, SQLITE_TRACE_STMT, on_statement, NULL);
}

static bool yes(const pawl_host *asker)
{
    (void)asker;
    return true;
}

static bool no(const pawl_host *asker)
{
    (void)asker;
    return false;
}

/* The first acquisition raises the ceiling of fences, which is the worker's; the second one is
 * after the inbox was made, and nothing but what is asked follows. */
static void open_a(bool (*may_block)(const pawl_host *asker))
{
    host_open(&a, path);
    a.host.may_block = may_block;
    for (int i = 0; i < 2; i++) {
        acquire(&a, "n", 1);
        release(&a, "n", 1);
        host_await_inbox(&a, path);
    }
    watch();
}

static void pair(void)
{
    assert_int_equal(acquire(&a, "n", 2).outcome, PAWL_GRANTED);
    assert_int_equal(release(&a, "n", 2).outcome, PAWL_RELEASED);
}

/* ---- Tests --------------------------------------------------------------------- */

static void test_a_pair_wakes_no_thread(void **state)
{
    (void)state;
    open_a(yes);
    pair();
    assert_int_equal(seen.by_worker, 0);
    assert_int_equal(seen.commits, 2);
    assert_int_equal(seen.by_loop, 6); /* BEGIN, write, COMMIT, twice */
    host_close(&a);
}

/* What is known of the rows is known until somebody else commits. */
static void test_what_others_write_is_read(void **state)
{
    (void)state;
    open_a(yes);
    sql("UPDATE lock SET fence = fence + 10000000");
    uint64_t high = (uint64_t)sql_int("SELECT max(fence) FROM lock");
    assert_true(acquire(&a, "n", 2).fence > high);
    assert_int_equal(seen.by_loop, 6); /* BEGIN, host, lock, wait, write, COMMIT */
    release(&a, "n", 2);
    assert_int_equal(seen.by_loop, 9);
    host_close(&a);
}

static void test_a_waiter_of_another_process_is_seen(void **state)
{
    (void)state;
    open_a(yes);
    host_open(&b, path);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(acquire(&a, "n", 2).outcome, PAWL_GRANTED);
        assert_int_equal(acquire(&b, "n", 3).outcome, PAWL_QUEUED);
        assert_int_equal(release(&a, "n", 2).outcome, PAWL_RELEASED);
        assert_int_equal(acquire(&a, "n", 4).outcome, PAWL_QUEUED);
        assert_string_equal(host_push_of(&b, PAWL_PUSH_GRANT).token, host_token(3));
        assert_int_equal(release(&b, "n", 3).outcome, PAWL_RELEASED);
        assert_string_equal(host_push_of(&a, PAWL_PUSH_GRANT).token, host_token(4));
        assert_int_equal(release(&a, "n", 4).outcome, PAWL_RELEASED);
    }
    host_close(&b);
    host_close(&a);
}

static void test_a_host_that_holds_something_waits_for_no_disk(void **state)
{
    (void)state;
    open_a(no);
    pair();
    assert_int_equal(seen.by_loop, 0);
    assert_int_equal(seen.by_worker, 6);
    host_close(&a);
}

static void test_a_report_is_the_workers(void **state)
{
    (void)state;
    open_a(yes);
    assert_false(inspect(&a, "n", NULL).held);
    assert_int_equal(seen.by_loop, 0);
    assert_true(seen.by_worker > 0);
    host_close(&a);
}

static void test_the_worker_waits_for_others(void **state)
{
    sqlite3 *other;
    (void)state;
    open_a(yes);
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    uint64_t id = host_send(&a, PAWL_VERB_ACQUIRE, "n", host_token(3), TTL, PAWL_ASK_QUEUE, 0);
    host_run_ms(&a, 10);
    assert_int_equal(a.reply_count, 4); /* of open_a */
    assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    assert_int_equal(host_wait(&a, id).outcome, PAWL_GRANTED);
    assert_true(seen.by_worker > 0);
    assert_int_equal(seen.commits, 1);
    watch();
    assert_int_equal(release(&a, "n", 3).outcome, PAWL_RELEASED);
    assert_int_equal(seen.by_worker, 0); /* it rests again, and lends again */
    host_close(&a);
}

/* What was queued before comes first, whoever carries it out. */
static void test_the_order_stays(void **state)
{
    (void)state;
    open_a(no);
    uint64_t taken = host_send(&a, PAWL_VERB_ACQUIRE, "n", host_token(4), TTL, 0, 0);
    a.host.may_block = yes;
    uint64_t given = host_send(&a, PAWL_VERB_RELEASE, "n", host_token(4), 0, 0, 0);
    assert_int_equal(host_wait(&a, taken).outcome, PAWL_GRANTED);
    assert_int_equal(host_wait(&a, given).outcome, PAWL_RELEASED);
    host_close(&a);
}

static void move_away(void)
{
    char away[160];
    beside(away, "-away");
    assert_int_equal(rename(path, away), 0);
}

/* In a file that was moved away what is held is given back, and nothing is granted. */
static void test_a_moved_file_grants_nothing(void **state)
{
    (void)state;
    open_a(yes);
    assert_int_equal(acquire(&a, "n", 2).outcome, PAWL_GRANTED);
    move_away();
    assert_int_equal(release(&a, "n", 2).outcome, PAWL_RELEASED);
    assert_int_equal(seen.by_worker, 0);
    seen_reply r = acquire(&a, "n", 3);
    assert_int_equal(r.outcome, PAWL_FAILED);
    assert_int_equal(r.err, PAWL_ERR_UNAVAILABLE);
    host_close(&a);
}

/* Others come by the link to the same file, and to another log. */
static void test_a_file_moved_behind_a_link_grants_nothing(void **state)
{
    (void)state;
    char away[160];
    beside(away, "-away");
    open_a(yes);
    assert_int_equal(acquire(&a, "n", 2).outcome, PAWL_GRANTED);
    move_away();
    assert_int_equal(symlink(away, path), 0);
    assert_int_equal(acquire(&a, "other", 3).outcome, PAWL_FAILED);
    host_close(&a);
}

static void test_a_moved_file_is_not_handed_on(void **state)
{
    (void)state;
    open_a(yes);
    host_open(&b, path);
    assert_int_equal(acquire(&a, "n", 2).outcome, PAWL_GRANTED);
    assert_int_equal(acquire(&b, "n", 3).outcome, PAWL_QUEUED);
    move_away();
    seen_reply r = release(&a, "n", 2);
    assert_int_equal(r.outcome, PAWL_FAILED);
    assert_int_equal(r.err, PAWL_ERR_UNAVAILABLE);
    host_close(&b);
    host_close(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_pair_wakes_no_thread),
        TEST(test_what_others_write_is_read),
        TEST(test_a_waiter_of_another_process_is_seen),
        TEST(test_a_host_that_holds_something_waits_for_no_disk),
        TEST(test_a_report_is_the_workers),
        TEST(test_the_worker_waits_for_others),
        TEST(test_the_order_stays),
        TEST(test_a_moved_file_grants_nothing),
        TEST(test_a_file_moved_behind_a_link_grants_nothing),
        TEST(test_a_moved_file_is_not_handed_on),
    };
    return cmocka_run_group_tests_name("sqlite lend", tests, NULL, NULL);
}
