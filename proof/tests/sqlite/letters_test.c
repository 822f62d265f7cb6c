/* SPDX-License-Identifier: MIT */
/* Letters to a client without an inbox: it finds out by itself as soon as it has one. */
#define _GNU_SOURCE
#include "stores/sqlite/sqlite_store.h"
/* its names come before the hosts a and b */
#include "place.h"

#include <stdlib.h>

static void test_a_break_without_an_inbox_is_heard(void **state)
{
    (void)state;
    host_open(&b, path);
    host_open(&a, path);
    uint64_t fence = acquire(&a, "n", 1).fence;
    uint64_t id = host_send(&b, PAWL_VERB_BREAK, "n", NULL, 0, 0, fence);
    assert_int_equal(host_wait(&b, id).outcome, PAWL_RELEASED);
    host_close(&b); /* it will not try again */
    seen_push push = host_push(&a);
    assert_int_equal(push.kind, PAWL_PUSH_RECHECK);
    assert_string_equal(push.name, "n");
    host_close(&a);
}

static void test_a_waiter_without_an_inbox_is_heard(void **state)
{
    (void)state;
    host_open(&b, path);
    host_open(&a, path);
    acquire(&a, "m", 1);
    uint64_t fence = acquire(&a, "n", 2).fence;
    assert_int_equal(acquire(&b, "n", 3).outcome, PAWL_QUEUED);
    seen_push push = host_push(&a);
    assert_int_equal(push.kind, PAWL_PUSH_YIELD);
    assert_string_equal(push.name, "n");
    assert_string_equal(push.token, host_token(2));
    assert_true(push.waiting && push.fence == fence);
    assert_int_equal(a.push_count, 1);
    host_close(&a);
    host_close(&b);
}

/* A lock that was released, or for which nobody waits any more, is no news. */
static void test_no_news_are_made_up(void **state)
{
    (void)state;
    host_open(&b, path);
    host_open(&a, path);
    acquire(&a, "n", 1);
    assert_int_equal(release(&a, "n", 1).outcome, PAWL_RELEASED);
    assert_int_equal(acquire(&b, "n", 2).outcome, PAWL_GRANTED);
    acquire(&a, "m", 3);
    host_close(&b);
    host_await_inbox(&a, path);
    assert_true(inspect(&a, "m", NULL).held); /* the news would be here before this */
    assert_int_equal(a.push_count, 0);
    host_close(&a);
}

/* A client that was handed the lock has no owner before it any more. */
static void test_a_grant_ends_the_watch(void **state)
{
    (void)state;
    host_open(&a, path);
    host_open(&b, path);
    acquire(&a, "n", 1);
    assert_int_equal(acquire(&b, "n", 2).outcome, PAWL_QUEUED);
    assert_int_equal(b.store->watches.table.count, 1);
    assert_int_equal(release(&a, "n", 1).outcome, PAWL_RELEASED);
    (void)host_push_of(&b, PAWL_PUSH_GRANT);
    assert_int_equal(b.store->watches.table.count, 0);
    host_close(&a);
    host_close(&b);
}

/* Nor has who was refused, or has left. */
static void test_an_answer_ends_the_watch(void **state)
{
    (void)state;
    host_open(&a, path);
    host_open(&b, path);
    acquire(&a, "n", 1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(acquire(&b, "n", 2).outcome, PAWL_QUEUED);
        assert_int_equal(b.store->watches.table.count, 1);
        if (i == 0) assert_int_equal(release(&b, "n", 2).outcome, PAWL_LEFT);
        if (i == 1) host_call(&b, PAWL_VERB_ACQUIRE, "n", host_token(2), TTL, 0);
        assert_int_equal(b.store->watches.table.count, 0);
    }
    host_close(&a);
    host_close(&b);
}

/* By a hand of its own, as after a grant that found nobody: what the letters would be. */
static void reap(pawl__outbox *ret_outbox)
{
    pawl__sqlite_db db;
    pawl__sqlite_fault fault;
    atomic_bool stop = false;
    pawl__sqlite_db_init(&db, &stop);
    assert_true(pawl__sqlite_db_open(&db, path, 0, &fault));
    assert_int_equal(pawl__sqlite_begin_write(&db), SQLITE_OK);
    assert_int_equal(pawl__lease_reap(&db, (pawl__name){"n", 1}, ret_outbox), SQLITE_OK);
    assert_int_equal(pawl__sqlite_commit(&db), SQLITE_OK);
    pawl__sqlite_db_close(&db);
    pawl__sqlite_live_close(&db.live);
}

/* A lock is handed on over one that has died with it, and over nobody else. */
static void test_a_grant_that_found_nobody_is_handed_on(void **state)
{
    pawl__outbox outbox = {.count = 0};
    (void)state;
    host_open(&a, path);
    host_open(&b, path);
    acquire(&a, "n", 1);
    assert_int_equal(acquire(&b, "n", 2).outcome, PAWL_QUEUED);
    reap(&outbox);
    assert_int_equal(outbox.count, 0);
    sql("UPDATE lock SET live = 4097"); /* nobody has this byte */
    reap(&outbox);
    assert_int_equal(outbox.count, 1);
    assert_string_equal(outbox.mails[0].to, b.client_id);
    assert_int_equal(outbox.mails[0].letter.kind, PAWL_PUSH_GRANT);
    assert_true(inspect(&b, "n", host_token(2)).mine);
    free(outbox.mails);
    host_close(&a);
    host_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_break_without_an_inbox_is_heard),
        TEST(test_a_waiter_without_an_inbox_is_heard),
        TEST(test_no_news_are_made_up),
        TEST(test_a_grant_that_found_nobody_is_handed_on),
        TEST(test_a_grant_ends_the_watch),
        TEST(test_an_answer_ends_the_watch),
    };
    return cmocka_run_group_tests_name("sqlite letters", tests, NULL, NULL);
}
