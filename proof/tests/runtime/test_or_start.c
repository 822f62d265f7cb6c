/* SPDX-License-Identifier: MIT */
/*
 * Goal: a call that looks for its end before it goes on by itself ends exactly once, by its result
 * or by its callback, whatever comes between: another holder, a cancel, a close.
 */
#include "stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <poll.h>

#define LONG_MS PATIENCE_MS

static pawl_client *dispatch_client(void)
{
    pawl_open_opts opts;
    pawl_open_opts_init(&opts);
    opts.callbacks = PAWL_CALLBACKS_DISPATCH;
    return stage_client(&opts);
}

static void await_done(pawl_client *client, record *r)
{
    while (record_dones(r) == 0) {
        struct pollfd p = {.fd = pawl_client_fd(client), .events = POLLIN};
        CHECK(poll(&p, 1, PATIENCE_MS) == 1);
        (void)pawl_client_dispatch(client);
    }
    assert_int_equal(record_dones(r), 1);
}

/* The end, however it is told. */
static int acquire(pawl_client *client, pawl_lock *lock, int64_t wait_ms, int64_t look_ms)
{
    record r;
    record_init(&r);
    bool started = true;
    int err = pawl_lock_acquire_or_start(lock, wait_ms, look_ms, record_done, &r, &started);
    if (err || !started) {
        assert_int_equal(record_dones(&r), 0);
        return err;
    }
    await_done(client, &r);
    return r.done_err;
}

static int release(pawl_client *client, pawl_lock *lock, int64_t look_ms)
{
    record r;
    record_init(&r);
    bool started = true;
    int err = pawl_lock_release_or_start(lock, look_ms, record_done, &r, &started);
    if (err || !started) return err;
    await_done(client, &r);
    return r.done_err;
}

static void test_pairs_follow_each_other(void **state)
{
    (void)state;
    pawl_client *client = dispatch_client(), *other = stage_client(NULL);
    const char *name = stage_name();
    pawl_lock *lock = lock_new(client, name, 60000), *theirs = lock_new(other, name, 60000);
    uint64_t fence = 0;
    for (int i = 0; i < 50; i++) {
        int64_t look_ms = i % 2 ? LONG_MS : 0;
        CHECK_ERR(acquire(client, lock, PATIENCE_MS, look_ms), PAWL_OK);
        assert_true(pawl_lock_is_held(lock));
        assert_true(pawl_lock_fence(lock) > fence);
        fence = pawl_lock_fence(lock);
        CHECK_ERR(pawl_lock_acquire(theirs, 0), PAWL_ERR_BUSY);
        CHECK_ERR(release(client, lock, look_ms), PAWL_OK);
        assert_false(pawl_lock_is_held(lock));
        CHECK_ERR(pawl_lock_acquire(theirs, PATIENCE_MS), PAWL_OK);
        CHECK_ERR(pawl_lock_release(theirs), PAWL_OK);
    }
    pawl_lock_free(lock);
    pawl_lock_free(theirs);
    pawl_client_close(client);
    pawl_client_close(other);
}

static void test_a_long_look_sees_the_end_itself(void **state)
{
    (void)state;
    pawl_client *client = dispatch_client();
    pawl_lock *lock = lock_new(client, stage_name(), 60000);
    record r;
    record_init(&r);
    bool started = true;
    CHECK_ERR(pawl_lock_acquire_or_start(lock, PATIENCE_MS, LONG_MS, record_done, &r, &started),
              PAWL_OK);
    assert_false(started);
    started = true;
    CHECK_ERR(pawl_lock_release_or_start(lock, LONG_MS, record_done, &r, &started), PAWL_OK);
    assert_false(started);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    assert_int_equal(pawl_client_dispatch(client), 0);
    assert_int_equal(record_dones(&r), 0);
    pawl_lock_free(lock);
    pawl_client_close(client);
}

static void test_who_does_not_wait_is_told_busy(void **state)
{
    (void)state;
    pawl_client *client = dispatch_client(), *other = stage_client(NULL);
    const char *name = stage_name();
    pawl_lock *lock = lock_new(client, name, 60000), *theirs = lock_new(other, name, 60000);
    CHECK_ERR(pawl_lock_acquire(theirs, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(acquire(client, lock, 0, 0), PAWL_ERR_BUSY);
    CHECK_ERR(acquire(client, lock, 0, LONG_MS), PAWL_ERR_BUSY);
    CHECK_ERR(acquire(client, lock, 1, 0), PAWL_ERR_TIMEOUT);
    CHECK_ERR(acquire(client, lock, 1, LONG_MS), PAWL_ERR_TIMEOUT);
    pawl_lock_free(lock);
    pawl_lock_free(theirs);
    pawl_client_close(client);
    pawl_client_close(other);
}

/* The look is over before the end comes: then the callback tells it, once. */
static void test_a_short_look_goes_on_by_itself(void **state)
{
    (void)state;
    pawl_client *client = dispatch_client(), *other = stage_client(NULL);
    for (int64_t look_ms = 0; look_ms < 3; look_ms++) {
        const char *name = stage_name();
        pawl_lock *lock = lock_new(client, name, 60000), *theirs = lock_new(other, name, 60000);
        record r;
        record_init(&r);
        bool started = false;
        CHECK_ERR(pawl_lock_acquire(theirs, PATIENCE_MS), PAWL_OK);
        CHECK_ERR(
            pawl_lock_acquire_or_start(lock, PAWL_WAIT_FOREVER, look_ms, record_done, &r, &started),
            PAWL_OK);
        assert_true(started);
        CHECK_ERR(pawl_lock_acquire_start(lock, 0, record_done, &r), PAWL_ERR_STATE);
        stage_await_waiters(other, name, 1);
        assert_int_equal(record_dones(&r), 0);
        if (look_ms == 1)
            CHECK_ERR(pawl_lock_cancel(lock), PAWL_OK);
        else
            CHECK_ERR(pawl_lock_release(theirs), PAWL_OK);
        await_done(client, &r);
        CHECK_ERR(r.done_err, look_ms == 1 ? PAWL_ERR_CANCELED : PAWL_OK);
        assert_int_equal(pawl_lock_is_held(lock), look_ms != 1);
        pawl_lock_free(lock);
        pawl_lock_free(theirs);
        assert_int_equal(record_dones(&r), 1);
    }
    pawl_client_close(client);
    pawl_client_close(other);
}

/* ---- Ended by another thread --------------------------------------------------------------- */

typedef struct looker {
    pawl_lock *lock;
    record r;
    int err;
    bool started;
} looker;

static void *look(void *arg)
{
    looker *l = arg;
    l->err = pawl_lock_acquire_or_start(l->lock, PAWL_WAIT_FOREVER, 60 * PATIENCE_MS, record_done,
                                        &l->r, &l->started);
    return NULL;
}

static void ended_by(bool closes)
{
    pawl_client *client = dispatch_client(), *other = stage_client(NULL);
    const char *name = stage_name();
    pawl_lock *theirs = lock_new(other, name, 60000);
    looker l = {.lock = lock_new(client, name, 60000)};
    pthread_t thread;
    record_init(&l.r);
    CHECK_ERR(pawl_lock_acquire(theirs, PATIENCE_MS), PAWL_OK);
    assert_int_equal(pthread_create(&thread, NULL, look, &l), 0);
    stage_await_waiters(other, name, 1);
    if (closes)
        pawl_client_close(client);
    else
        CHECK_ERR(pawl_lock_cancel(l.lock), PAWL_OK);
    assert_int_equal(pthread_join(thread, NULL), 0);
    CHECK_ERR(l.err, closes ? PAWL_ERR_CLOSED : PAWL_ERR_CANCELED);
    assert_false(l.started);
    assert_int_equal(record_dones(&l.r), 0);
    pawl_lock_free(l.lock);
    pawl_lock_free(theirs);
    if (!closes) pawl_client_close(client);
    pawl_client_close(other);
}

static void test_a_cancel_ends_a_look(void **state)
{
    (void)state;
    ended_by(false);
}

static void test_a_close_ends_a_look(void **state)
{
    (void)state;
    ended_by(true);
}

/* ---- Errors, and handles that are special ---------------------------------------------------- */

static void test_errors_are_those_of_the_other_calls(void **state)
{
    (void)state;
    pawl_client *client = dispatch_client();
    pawl_lock *lock = lock_new(client, stage_name(), 60000);
    record r;
    record_init(&r);
    bool s = true;
    CHECK_ERR(pawl_lock_acquire_or_start(NULL, 0, 0, record_done, &r, &s), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_lock_acquire_or_start(lock, 0, 0, NULL, &r, &s), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_lock_acquire_or_start(lock, 0, 0, record_done, &r, NULL), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_lock_acquire_or_start(lock, -2, 0, record_done, &r, &s), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_lock_acquire_or_start(lock, 0, -1, record_done, &r, &s), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_lock_release_or_start(NULL, 0, record_done, &r, &s), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_lock_release_or_start(lock, 0, NULL, &r, &s), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_lock_release_or_start(lock, -1, record_done, &r, &s), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_lock_release_or_start(lock, 0, record_done, &r, NULL), PAWL_ERR_ARGUMENT);
    CHECK_ERR(release(client, lock, 0), PAWL_ERR_NOT_HELD);
    CHECK_ERR(acquire(client, lock, 0, LONG_MS), PAWL_OK);
    CHECK_ERR(acquire(client, lock, 0, LONG_MS), PAWL_ERR_STATE);
    assert_true(s); /* untouched */
    pawl_client_close(client);
    CHECK_ERR(pawl_lock_acquire_or_start(lock, 0, 0, record_done, &r, &s), PAWL_ERR_CLOSED);
    CHECK_ERR(pawl_lock_release_or_start(lock, 0, record_done, &r, &s), PAWL_ERR_CLOSED);
    assert_int_equal(record_dones(&r), 0);
    pawl_lock_free(lock);
}

static void test_a_handle_counts_and_another_retains(void **state)
{
    (void)state;
    pawl_client *client = dispatch_client();
    pawl_lock_opts opts;
    pawl_lock_opts_init(&opts);
    for (int i = 0; i < 2; i++) {
        opts.flags = i ? 0 : PAWL_LOCK_REENTRANT;
        opts.retain_ms = i ? 60000 : 0;
        pawl_lock *lock;
        const char *name = stage_name();
        CHECK_ERR(pawl_lock_new(client, name, strlen(name), &opts, &lock), PAWL_OK);
        CHECK_ERR(acquire(client, lock, PATIENCE_MS, LONG_MS), PAWL_OK);
        uint64_t fence = pawl_lock_fence(lock);
        if (i) CHECK_ERR(release(client, lock, 0), PAWL_OK);
        CHECK_ERR(acquire(client, lock, 0, 0), PAWL_OK);
        assert_true(pawl_lock_fence(lock) == fence);
        CHECK_ERR(release(client, lock, LONG_MS), PAWL_OK);
        assert_int_equal(pawl_lock_is_held(lock), i == 0);
        if (i == 0) CHECK_ERR(release(client, lock, LONG_MS), PAWL_OK);
        pawl_lock_free(lock);
    }
    pawl_client_close(client);
}

int main(int argc, char **argv)
{
    stage_begin(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs_follow_each_other),
        cmocka_unit_test(test_a_long_look_sees_the_end_itself),
        cmocka_unit_test(test_who_does_not_wait_is_told_busy),
        cmocka_unit_test(test_a_short_look_goes_on_by_itself),
        cmocka_unit_test(test_a_cancel_ends_a_look),
        cmocka_unit_test(test_a_close_ends_a_look),
        cmocka_unit_test(test_errors_are_those_of_the_other_calls),
        cmocka_unit_test(test_a_handle_counts_and_another_retains),
    };
    int failed = cmocka_run_group_tests_name("or start", tests, NULL, NULL);
    stage_end();
    return failed;
}
