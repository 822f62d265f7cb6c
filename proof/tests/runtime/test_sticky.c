/* SPDX-License-Identifier: MIT */
/*
 * Goal: once somebody has been told that the deadline has passed, a renewal that
 * is confirmed afterwards does not bring the lock back (laws 2 and 5), and whatever
 * finds a loss, it is an event once (law 6). Method: the deadline in a handle is set
 * into the past, as if the reader's clock had been read just after it and the
 * engine's just before.
 */
#include "runtime/client.h"
#include "stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static void never_done(pawl_lock *lock, int err, void *userdata)
{
    (void)lock, (void)userdata;
    CHECK_ERR(err, -1);
}

/* By its token, of which the store does not tell the holder; of a break it would. */
static void release_elsewhere(pawl_client *client, const char *name, const pawl_lock *lock)
{
    pawl_token token;
    pawl_lock_token(lock, &token);
    CHECK_ERR(pawl_token_release(client, name, strlen(name), token.text, PATIENCE_MS), PAWL_OK);
}

/* The ways to release; each answers at once, because there is nothing to wait for. */
static int release(pawl_lock *lock)
{
    return pawl_lock_release(lock);
}

static int release_wait(pawl_lock *lock)
{
    return pawl_lock_release_wait(lock, PATIENCE_MS);
}

static int release_start(pawl_lock *lock)
{
    return pawl_lock_release_start(lock, never_done, NULL);
}

static int release_or_start(pawl_lock *lock)
{
    bool started = false;
    int err = pawl_lock_release_or_start(lock, PATIENCE_MS, never_done, NULL, &started);
    assert_false(started);
    return err;
}

/* The same while another thread has the loop: then the call would wait for the store. */
static int release_or_look(pawl_lock *lock)
{
    pawl__gate *gate = lock->home->gate;
    pthread_mutex_lock(&gate->mutex);
    CHECK(pawl__gate_take(gate, PAWL__NEVER));
    pthread_mutex_unlock(&gate->mutex);
    int err = release_or_start(lock);
    pthread_mutex_lock(&gate->mutex);
    pawl__gate_give(gate);
    pthread_mutex_unlock(&gate->mutex);
    return err;
}

/* Whoever notices a loss first, it comes once as an event: also if that is a release. */
static void test_release_after_a_seen_loss(void **state)
{
    (void)state;
    static int (*const ways[])(pawl_lock * lock) = {release, release_wait, release_start,
                                                    release_or_start, release_or_look};
    pawl_client *client = stage_client(NULL);
    const char *name = stage_name();
    record r;
    record_init(&r);
    pawl_lock *lock = lock_with_events(client, name, 60000, record_event, &r);
    for (int i = 0; i < (int)(sizeof ways / sizeof ways[0]); i++) {
        CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
        atomic_store(&lock->held.word, LONG_AGO);
        CHECK_ERR(ways[i](lock), PAWL_ERR_LOST); /* 0 would say: held until now */
        record_await_event(&r, PAWL_EVENT_LOST, i + 1);
        CHECK_ERR((int)r.event_err, PAWL_ERR_LOST);
        stage_await_free(client, name);
    }
    pawl_lock_free(lock);
    pawl_client_close(client);
    assert_int_equal(record_events(&r, PAWL_EVENT_LOST), sizeof ways / sizeof ways[0]);
}

/*
 * Only a deadline that is ahead is lent: a release that lends says that it was held until now, and
 * asks nobody else.
 */
static void test_what_is_over_is_not_lent(void **state)
{
    (void)state;
    static const int64_t over[] = {PAWL__HELD_BY_NOBODY, PAWL__HELD_EXPIRED, LONG_AGO, LONG_AGO + 1,
                                   INT64_MIN + 1};
    pawl__held held;
    for (size_t i = 0; i < sizeof over / sizeof over[0]; i++) {
        atomic_init(&held.word, over[i]);
        assert_false(pawl__held_lend(&held, NULL));
        assert_true(atomic_load(&held.word) == over[i]);
    }
    pawl__held_begin(&held, INT64_MAX - 1);
    assert_true(pawl__held_lend(&held, NULL));
    assert_true(pawl__held_is_retained(&held) && pawl__held_take(&held));
}

/* Held by its own clock until the release, which ends it: what the store says then is its answer.
 */
static void test_a_release_that_was_in_time_tells_no_event(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL), *other = stage_client(NULL);
    const char *name = stage_name();
    record r;
    record_init(&r);
    pawl_lock *lock = lock_with_events(client, name, 60000, record_event, &r);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    release_elsewhere(other, name, lock);
    CHECK_ERR(release_wait(lock), PAWL_ERR_LOST);
    pawl_lock_free(lock);
    pawl_client_close(client);
    pawl_client_close(other);
    assert_int_equal(record_events(&r, PAWL_EVENT_LOST), 0);
}

/*
 * The first of two names is over, and nobody but a reader of the clock has noticed, when the second
 * one comes: the handle is not held, but asks for both again.
 */
static void test_a_part_that_is_over_is_asked_for_again(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL), *other = stage_client(NULL);
    const char *name = stage_name();
    char names[2][40];
    for (int i = 0; i < 2; i++) snprintf(names[i], sizeof names[i], "%s-%c", name, 'a' + i);
    const char *const both[] = {names[0], names[1]};
    record r;
    record_init(&r);
    pawl_lock *theirs = lock_new(other, names[1], 60000), *lock = NULL;
    CHECK_ERR(pawl_lock_acquire(theirs, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_new_all(client, both, 2, NULL, &lock), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire_start(lock, PATIENCE_MS, record_done, &r), PAWL_OK);
    stage_await_waiters(other, names[1], 1);
    pawl_lock *part = (pawl_lock *)(uintptr_t)pawl_lock_part(lock, 0);
    uint64_t fence = pawl_lock_fence(part);
    assert_true(pawl_lock_is_held(part));
    atomic_store(&part->held.word, LONG_AGO);
    assert_false(pawl_lock_is_held(part));
    CHECK_ERR(pawl_lock_release(theirs), PAWL_OK);
    record_await_done(&r, 1);
    CHECK_ERR(r.done_err, PAWL_OK);
    assert_true(pawl_lock_is_held(lock) && pawl_lock_is_held(part));
    assert_true(pawl_lock_fence(part) > fence);
    pawl_lock_free(lock);
    pawl_lock_free(theirs);
    pawl_client_close(client);
    pawl_client_close(other);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seen_loss_is_final),
        cmocka_unit_test(test_release_after_a_seen_loss),
        cmocka_unit_test(test_what_is_over_is_not_lent),
        cmocka_unit_test(test_a_release_that_was_in_time_tells_no_event),
        cmocka_unit_test(test_a_part_that_is_over_is_asked_for_again),
    };
    stage_begin(argc, argv);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    stage_end();
    return failed;
}
