/* SPDX-License-Identifier: MIT */
/*
 * Goal: waiting, canceling, freeing and closing complete every operation exactly
 * once and leave nothing behind at the store (laws 4 and 6).
 */
#include "stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- A thread in pawl_lock_acquire ---------------------------------------------------------- */

typedef struct waiter {
    pawl_lock *lock;
    int64_t wait_ms;
    int err;
    bool was_held;
    pthread_t thread;
} waiter;

static void *wait_for_lock(void *arg)
{
    waiter *w = arg;
    w->err = pawl_lock_acquire(w->lock, w->wait_ms);
    w->was_held = pawl_lock_is_held(w->lock);
    return NULL;
}

static void waiter_start(waiter *w, pawl_lock *lock, int64_t wait_ms)
{
    *w = (waiter){.lock = lock, .wait_ms = wait_ms};
    CHECK(pthread_create(&w->thread, NULL, wait_for_lock, w) == 0);
}

static int waiter_end(waiter *w)
{
    CHECK(pthread_join(w->thread, NULL) == 0);
    return w->err;
}

/* ---- Tests ---------------------------------------------------------------------------------- */

static void test_release_wakes_a_waiting_thread(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL), *other = stage_client(NULL);
    const char *name = stage_name();
    pawl_lock *mine = lock_new(client, name, 5000);
    pawl_lock *sibling = lock_new(client, name, 5000);
    pawl_lock *theirs = lock_new(other, name, 5000);
    waiter w;

    CHECK_ERR(pawl_lock_acquire(mine, PATIENCE_MS), PAWL_OK);
    waiter_start(&w, theirs, PATIENCE_MS);
    stage_await_waiters(client, name, 1);
    CHECK_ERR(pawl_lock_release(mine), PAWL_OK);
    CHECK_ERR(waiter_end(&w), PAWL_OK);
    assert_true(w.was_held);
    assert_true(pawl_lock_fence(theirs) > pawl_lock_fence(mine));

    waiter_start(&w, mine, PATIENCE_MS);
    stage_await_waiters(other, name, 1);
    CHECK_ERR(pawl_lock_release(theirs), PAWL_OK);
    CHECK_ERR(waiter_end(&w), PAWL_OK);
    waiter_start(&w, sibling, PATIENCE_MS); /* waits in the client only */
    CHECK_ERR(pawl_lock_release(mine), PAWL_OK);
    CHECK_ERR(waiter_end(&w), PAWL_OK);
    pawl_lock_free(mine);
    pawl_lock_free(sibling);
    pawl_lock_free(theirs);
    stage_await_free(client, name);
    pawl_client_close(client);
    pawl_client_close(other);
}

static void test_order_of_arrival(void **state)
{
    (void)state;
    enum { COUNT = 8 };
    pawl_client *clients[COUNT], *first = stage_client(NULL);
    pawl_lock *locks[COUNT];
    waiter waiters[COUNT];
    const char *name = stage_name();
    pawl_lock *mine = lock_new(first, name, 5000);
    CHECK_ERR(pawl_lock_acquire(mine, PATIENCE_MS), PAWL_OK);
    for (size_t i = 0; i < COUNT; i++) {
        clients[i] = stage_client(NULL);
        locks[i] = lock_new(clients[i], name, 5000);
        waiter_start(&waiters[i], locks[i], PATIENCE_MS);
        stage_await_waiters(first, name, i + 1);
    }
    CHECK_ERR(pawl_lock_release(mine), PAWL_OK);
    for (size_t i = 0; i < COUNT; i++) {
        CHECK_ERR(waiter_end(&waiters[i]), PAWL_OK);
        if (i) assert_true(pawl_lock_fence(locks[i]) > pawl_lock_fence(locks[i - 1]));
        if (i + 1 < COUNT) assert_false(pawl_lock_is_held(locks[i + 1]));
        CHECK_ERR(pawl_lock_release(locks[i]), PAWL_OK);
    }
    for (size_t i = 0; i < COUNT; i++) {
        pawl_lock_free(locks[i]);
        pawl_client_close(clients[i]);
    }
    pawl_lock_free(mine);
    pawl_client_close(first);
}

static void test_cancel_ends_a_waiting_thread(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL), *other = stage_client(NULL);
    const char *name = stage_name();
    pawl_lock *mine = lock_new(client, name, 5000);
    pawl_lock *theirs = lock_new(other, name, 5000);
    waiter w;
    CHECK_ERR(pawl_lock_acquire(mine, PATIENCE_MS), PAWL_OK);
    waiter_start(&w, theirs, PAWL_WAIT_FOREVER);
    stage_await_waiters(client, name, 1);
    CHECK_ERR(pawl_lock_cancel(theirs), PAWL_OK);
    CHECK_ERR(waiter_end(&w), PAWL_ERR_CANCELED);
    CHECK_ERR(pawl_lock_cancel(theirs), PAWL_ERR_STATE);
    stage_await_waiters(client, name, 0);
    CHECK_ERR(pawl_lock_release(mine), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire(theirs, PATIENCE_MS), PAWL_OK); /* the handle is as new */
    pawl_lock_free(mine);
    pawl_lock_free(theirs);
    pawl_client_close(client);
    pawl_client_close(other);
}

static void test_asynchronous_acquire_and_release(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL);
    const char *name = stage_name();
    pawl_lock *lock = lock_new(client, name, 5000);
    record acquired, released;
    record_init(&acquired);
    record_init(&released);
    for (int i = 1; i <= 50; i++) {
        CHECK_ERR(pawl_lock_acquire_start(lock, PATIENCE_MS, record_done, &acquired), PAWL_OK);
        record_await_done(&acquired, i);
        assert_int_equal(acquired.done_err, PAWL_OK);
        assert_true(pawl_lock_is_held(lock));
        CHECK_ERR(pawl_lock_release_start(lock, record_done, &released), PAWL_OK);
        assert_false(pawl_lock_is_held(lock));
        if (i % 2) record_await_done(&released, i);
    }
    record_await_done(&released, 50);
    assert_int_equal(released.done_err, PAWL_OK);
    assert_false(pthread_equal(acquired.thread, pthread_self()));
    pawl_lock_free(lock);
    stage_await_free(client, name);
    pawl_client_close(client);
    assert_int_equal(record_dones(&acquired), 50);
    assert_int_equal(record_dones(&released), 50);
}

static void test_asynchronous_refusals(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL), *other = stage_client(NULL);
    const char *name = stage_name();
    pawl_lock *mine = lock_new(client, name, 5000);
    pawl_lock *theirs = lock_new(other, name, 5000);
    record r;
    record_init(&r);
    CHECK_ERR(pawl_lock_acquire(mine, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire_start(theirs, 0, record_done, &r), PAWL_OK);
    record_await_done(&r, 1);
    CHECK_ERR(r.done_err, PAWL_ERR_BUSY);
    CHECK_ERR(pawl_lock_acquire_start(theirs, ANSWERED_MS, record_done, &r), PAWL_OK);
    record_await_done(&r, 2);
    CHECK_ERR(r.done_err, PAWL_ERR_TIMEOUT);
    CHECK_ERR(pawl_lock_acquire_start(theirs, PAWL_WAIT_FOREVER, record_done, &r), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire_start(theirs, 0, record_done, &r), PAWL_ERR_STATE);
    CHECK_ERR(pawl_lock_acquire(theirs, 0), PAWL_ERR_STATE);
    CHECK_ERR(pawl_lock_release(theirs), PAWL_ERR_NOT_HELD);
    CHECK_ERR(pawl_lock_cancel(theirs), PAWL_OK);
    record_await_done(&r, 3);
    CHECK_ERR(r.done_err, PAWL_ERR_CANCELED);
    CHECK_ERR(pawl_lock_release(mine), PAWL_OK);
    pawl_lock_free(mine);
    pawl_lock_free(theirs);
    stage_await_free(client, name);
    pawl_client_close(client);
    pawl_client_close(other);
    assert_int_equal(record_dones(&r), 3);
}

static void test_free_while_waiting(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL), *other = stage_client(NULL);
    const char *name = stage_name();
    pawl_lock *mine = lock_new(client, name, 5000);
    record r;
    record_init(&r);
    CHECK_ERR(pawl_lock_acquire(mine, PATIENCE_MS), PAWL_OK);
    for (int i = 1; i <= 20; i++) {
        pawl_lock *theirs = lock_new(other, name, 5000);
        CHECK_ERR(pawl_lock_acquire_start(theirs, PAWL_WAIT_FOREVER, record_done, &r), PAWL_OK);
        if (i % 2) stage_await_waiters(client, name, 1);
        pawl_lock_free(theirs);
        record_await_done(&r, i);
        CHECK_ERR(r.done_err, PAWL_ERR_CANCELED);
        stage_await_waiters(client, name, 0);
    }
    pawl_lock_free(mine); /* held: releases */
    stage_await_free(other, name);
    pawl_client_close(client);
    pawl_client_close(other);
    assert_int_equal(record_dones(&r), 20);
}

/* The acquisition is decided while the handle is freed: either way nothing stays behind. */
static void test_free_races_with_the_grant(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL);
    const char *name = stage_name();
    record r;
    record_init(&r);
    for (int i = 1; i <= 200; i++) {
        pawl_lock *lock = lock_new(client, name, 5000);
        CHECK_ERR(pawl_lock_acquire_start(lock, PAWL_WAIT_FOREVER, record_done, &r), PAWL_OK);
        pawl_lock_free(lock);
    }
    record_await_done(&r, 200);
    stage_await_free(client, name);
    pawl_client_close(client);
    assert_int_equal(record_dones(&r), 200);
}

/* A little time, less than a system call would take: for races that are to come out both ways. */
static void dawdle(const pawl_lock *lock, int reads)
{
    for (int i = 0; i < reads; i++) (void)pawl_lock_remaining_ms(lock);
}

static void test_free_at_any_moment_of_the_grant(void **state)
{
    (void)state;
    enum { COUNT = 1000, MOST = 50000 }; /* it goes on until both ends have been met */
    pawl_client *client = stage_client(NULL);
    const char *name = stage_name();
    int granted = 0, canceled = 0, i = 0;
    record r;
    record_init(&r);
    while (i < COUNT || (i < MOST && (granted == 0 || canceled == 0))) {
        pawl_lock *lock = lock_new(client, name, 60000);
        CHECK_ERR(pawl_lock_acquire_start(lock, PAWL_WAIT_FOREVER, record_done, &r), PAWL_OK);
        dawdle(lock, i * 7 % 1500 * (1 + i / COUNT)); /* longer and longer */
        pawl_lock_free(lock);
        record_await_done(&r, ++i);
        CHECK(r.done_err == PAWL_OK || r.done_err == PAWL_ERR_CANCELED);
        granted += r.done_err == PAWL_OK;
        canceled += r.done_err == PAWL_ERR_CANCELED;
    }
    stage_await_free(client, name);
    pawl_client_close(client);
    assert_int_equal(record_dones(&r), i);
    assert_true(granted > 0 && canceled > 0);
}

/* No caller may be told that it holds a handle that it just freed. */
static void test_free_before_the_grant_is_told(void **state)
{
    (void)state;
    pawl_open_opts opts;
    pawl_open_opts_init(&opts);
    opts.callbacks = PAWL_CALLBACKS_DISPATCH;
    pawl_client *client = stage_client(&opts);
    const char *name = stage_name();
    pawl_lock *lock = lock_new(client, name, 60000);
    record r;
    record_init(&r);
    CHECK_ERR(pawl_lock_acquire_start(lock, PAWL_WAIT_FOREVER, record_done, &r), PAWL_OK);
    struct pollfd p = {.fd = pawl_client_fd(client), .events = POLLIN};
    CHECK(poll(&p, 1, PATIENCE_MS) == 1);
    assert_true(pawl_lock_is_held(lock));
    pawl_lock_free(lock);
    assert_int_equal(pawl_client_dispatch(client), 1);
    CHECK_ERR(r.done_err, PAWL_ERR_CANCELED);
    stage_await_free(client, name);
    pawl_client_close(client);
}

static void *cancel_at_once(void *arg)
{
    int err = pawl_lock_cancel(arg);
    CHECK(err == PAWL_OK || err == PAWL_ERR_STATE);
    return NULL;
}

static void test_cancel_races_with_the_grant(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL);
    const char *name = stage_name();
    pawl_lock *lock = lock_new(client, name, 5000);
    int granted = 0;
    /* Until both ends of the race have won; a slow store may need many rounds. */
    for (int i = 0; i < 300 || (!granted && i < 20000); i++) {
        pthread_t canceler;
        CHECK(pthread_create(&canceler, NULL, cancel_at_once, lock) == 0);
        int err = pawl_lock_acquire(lock, PAWL_WAIT_FOREVER);
        CHECK(pthread_join(canceler, NULL) == 0);
        CHECK(err == PAWL_OK || err == PAWL_ERR_CANCELED);
        CHECK(pawl_lock_is_held(lock) == (err == PAWL_OK));
        if (err) continue;
        granted++;
        CHECK_ERR(pawl_lock_release(lock), PAWL_OK);
    }
    assert_true(granted > 0);
    stage_await_free(client, name);
    pawl_lock_free(lock);
    pawl_client_close(client);
}

static void test_close_ends_everything(void **state)
{
    (void)state;
    enum { WAITERS = 6 };
    pawl_client *holder = stage_client(NULL), *closing = stage_client(NULL);
    const char *name = stage_name(), *own = "the-closing-clients-own";
    pawl_lock *held = lock_new(holder, name, 5000), *kept = lock_new(closing, own, 60000);
    pawl_lock *locks[WAITERS], *async = lock_new(closing, name, 5000);
    waiter waiters[WAITERS];
    record r;
    record_init(&r);
    CHECK_ERR(pawl_lock_acquire(held, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire(kept, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire_start(async, PAWL_WAIT_FOREVER, record_done, &r), PAWL_OK);
    for (size_t i = 0; i < WAITERS; i++) {
        locks[i] = lock_new(closing, name, 5000);
        waiter_start(&waiters[i], locks[i], PAWL_WAIT_FOREVER);
    }
    stage_await_waiters(holder, name, 1); /* one place in the store for all of them */
    assert_null(pawl_client_close(closing));
    for (size_t i = 0; i < WAITERS; i++) {
        /* one that had not yet got as far as waiting finds the client closed */
        CHECK_ERR(waiter_end(&waiters[i]), PAWL_ERR_CLOSED);
        assert_false(waiters[i].was_held);
    }
    assert_int_equal(record_dones(&r), 1);
    CHECK_ERR(r.done_err, PAWL_ERR_CLOSED);
    stage_await_free(holder, own); /* long before its ttl */
    stage_await_waiters(holder, name, 0);

    assert_false(pawl_lock_is_held(kept));
    assert_string_equal(pawl_lock_name(kept), own);
    CHECK_ERR(pawl_lock_acquire(kept, 0), PAWL_ERR_CLOSED);
    CHECK_ERR(pawl_lock_acquire_start(kept, 0, record_done, &r), PAWL_ERR_CLOSED);
    CHECK_ERR(pawl_lock_release(kept), PAWL_ERR_CLOSED);
    CHECK_ERR(pawl_lock_release_wait(kept, 0), PAWL_ERR_CLOSED);
    CHECK_ERR(pawl_lock_release_start(kept, record_done, &r), PAWL_ERR_CLOSED);
    CHECK_ERR(pawl_lock_detach(kept), PAWL_ERR_CLOSED);
    CHECK_ERR(pawl_lock_cancel(kept), PAWL_ERR_CLOSED);
    for (size_t i = 0; i < WAITERS; i++) pawl_lock_free(locks[i]);
    pawl_lock_free(kept);
    pawl_lock_free(async);
    pawl_lock_free(held);
    pawl_client_close(holder);
    assert_int_equal(record_dones(&r), 1);
}

static void test_detached_lease_survives_close(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL), *other = stage_client(NULL);
    const char *name = stage_name();
    pawl_lock_opts opts;
    pawl_lock_opts_init(&opts);
    opts.flags = PAWL_LOCK_DETACHED;
    pawl_lock *lock = NULL;
    CHECK_ERR(pawl_lock_new(client, name, strlen(name), &opts, &lock), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    pawl_token token;
    pawl_lock_token(lock, &token);
    pawl_client_close(client);
    pawl_lock_free(lock);
    assert_true(stage_view(other, name).held);
    CHECK_ERR(pawl_token_release(other, name, strlen(name), token.text, PATIENCE_MS), PAWL_OK);
    pawl_client_close(other);
}

static void test_thousand_handles(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    static pawl_lock *locks[COUNT];
    static char names[COUNT][32];
    pawl_client *client = stage_client(NULL);
    record r, released;
    record_init(&r);
    record_init(&released);
    for (int i = 0; i < COUNT; i++) {
        snprintf(names[i], sizeof names[i], "many-%d", i);
        locks[i] = lock_new(client, names[i], 60000);
        CHECK_ERR(pawl_lock_acquire_start(locks[i], 60000, record_done, &r), PAWL_OK);
    }
    record_await_done(&r, COUNT);
    for (int i = 0; i < COUNT; i++) assert_true(pawl_lock_is_held(locks[i]));
    for (int i = 0; i < COUNT; i++)
        CHECK_ERR(pawl_lock_release_start(locks[i], record_done, &released), PAWL_OK);
    record_await_done(&released, COUNT);
    CHECK_ERR(released.done_err, PAWL_OK);
    for (int i = 0; i < COUNT; i++) pawl_lock_free(locks[i]);
    pawl_client_close(client);
}

static pawl_client *cycle(pawl_lock **ret_lock, const char *name)
{
    pawl_client *client = stage_client(NULL);
    *ret_lock = lock_new(client, name, 600000);
    for (int i = 0; i < 300; i++) {
        CHECK_ERR(pawl_lock_acquire(*ret_lock, PATIENCE_MS), PAWL_OK);
        CHECK_ERR(pawl_lock_release(*ret_lock), PAWL_OK);
    }
    return client;
}

/* A release that waits for company leaves by itself when none comes. */
static void test_the_last_release_of_a_quick_loop_arrives(void **state)
{
    (void)state;
    pawl_client *other = stage_client(NULL);
    for (int i = 0; i < 5; i++) {
        const char *name = stage_name();
        pawl_lock *lock;
        pawl_client *client = cycle(&lock, name);
        stage_await_free(other, name);
        pawl_lock_free(lock);
        pawl_client_close(client);
    }
    pawl_client_close(other);
}

static void test_the_last_release_before_exit_arrives(void **state)
{
    (void)state;
    if (stage_is("memory")) skip_case("the memory store ends with the process");
    const char *name = stage_name();
    pid_t child = fork();
    if (child == 0) {
        pawl_lock *lock;
        cycle(&lock, name);
        exit(0);
    }
    int status;
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    pawl_client *client = stage_client(NULL);
    stage_await_free(client, name);
    pawl_client_close(client);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_release_wakes_a_waiting_thread),
        cmocka_unit_test(test_order_of_arrival),
        cmocka_unit_test(test_cancel_ends_a_waiting_thread),
        cmocka_unit_test(test_asynchronous_acquire_and_release),
        cmocka_unit_test(test_asynchronous_refusals),
        cmocka_unit_test(test_free_while_waiting),
        cmocka_unit_test(test_free_races_with_the_grant),
        cmocka_unit_test(test_free_at_any_moment_of_the_grant),
        cmocka_unit_test(test_free_before_the_grant_is_told),
        cmocka_unit_test(test_cancel_races_with_the_grant),
        cmocka_unit_test(test_close_ends_everything),
        cmocka_unit_test(test_detached_lease_survives_close),
        cmocka_unit_test(test_thousand_handles),
        cmocka_unit_test(test_the_last_release_of_a_quick_loop_arrives),
        cmocka_unit_test(test_the_last_release_before_exit_arrives),
    };
    stage_begin(argc, argv);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    stage_end();
    return failed;
}
