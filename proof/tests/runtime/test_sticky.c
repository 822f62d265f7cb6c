/* SPDX-License-Identifier: MIT */
/*
 * Goal: once somebody has been told that the deadline has passed, a renewal that
 * is confirmed afterwards does not bring the lock back (laws 2 and 5). Method:
 * the deadline in a handle is set into the past, as if the reader's clock had been
 * read just after it and the engine's just before.
 */
#include "runtime/client.h"
#include "stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define LONG_AGO 2 /* a deadline, and even: the lowest bit of the word is another flag */

static void test_seen_loss_is_final(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL);
    const char *name = stage_name();
    record r;
    record_init(&r);
    pawl_lock *lock = lock_with_events(client, name, 300, record_event, &r);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    atomic_store(&lock->held.word, LONG_AGO);
    assert_false(pawl_lock_is_held(lock));
    assert_int_equal(pawl_lock_remaining_ms(lock), 0);
    CHECK_ERR(pawl_lock_acquire(lock, 0), PAWL_ERR_LOST);
    record_await_event(&r, PAWL_EVENT_LOST, 1); /* the next renewal is confirmed, too late */
    assert_false(pawl_lock_is_held(lock));
    stage_await_free(client, name); /* what the renewal kept has been given back */
    CHECK_ERR(pawl_lock_release(lock), PAWL_ERR_LOST);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    assert_true(pawl_lock_is_held(lock));
    pawl_lock_free(lock);
    pawl_client_close(client);
    assert_int_equal(record_events(&r, PAWL_EVENT_LOST), 1);
}

static void test_release_after_a_seen_loss(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL);
    const char *name = stage_name();
    record r;
    record_init(&r);
    pawl_lock *lock = lock_with_events(client, name, 60000, record_event, &r);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    atomic_store(&lock->held.word, LONG_AGO);
    CHECK_ERR(pawl_lock_release(lock), PAWL_ERR_LOST); /* 0 would say: held until now */
    record_await_event(&r, PAWL_EVENT_LOST, 1);        /* whoever notices it first */
    stage_await_free(client, name);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    pawl_lock_free(lock);
    pawl_client_close(client);
    assert_int_equal(record_events(&r, PAWL_EVENT_LOST), 1);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seen_loss_is_final),
        cmocka_unit_test(test_release_after_a_seen_loss),
    };
    stage_begin(argc, argv);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    stage_end();
    return failed;
}
