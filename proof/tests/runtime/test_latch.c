/* SPDX-License-Identifier: MIT */
/* Goal: a latch opens when so many have come, as pawl/composed.h says, on every store. */
#include "pawl/composed.h"
#include "stage.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static pawl_latch *latch_of(pawl_client *client, const char *name, uint32_t count, int64_t keep_ms)
{
    pawl_latch_opts opts;
    pawl_latch *latch;
    pawl_latch_opts_init(&opts);
    opts.count = count;
    if (keep_ms) opts.keep_ms = keep_ms;
    CHECK_ERR(pawl_latch_new(client, name, strlen(name), &opts, &latch), PAWL_OK);
    return latch;
}

static void it_opens_when_all_have_come(void **state)
{
    (void)state;
    record r;
    record_init(&r);
    pawl_client *client = stage_client(NULL), *other = stage_client(NULL);
    const char *name = stage_name();
    pawl_latch *a = latch_of(client, name, 3, 0), *b = latch_of(other, name, 3, 0);
    pawl_latch *waits = latch_of(client, name, 3, 0);
    CHECK_ERR(pawl_latch_wait(a, 0), PAWL_ERR_BUSY);
    assert_int_equal(pawl_latch_left(a), 3);
    CHECK_ERR(pawl_latch_wait_start(waits, PAWL_WAIT_FOREVER, record_done, &r), PAWL_OK);
    CHECK_ERR(pawl_latch_look(waits, 0), PAWL_ERR_STATE);
    CHECK_ERR(pawl_latch_count_down(a, 1, PATIENCE_MS), PAWL_OK);
    assert_int_equal(pawl_latch_left(a), 2);
    CHECK_ERR(pawl_latch_wait(b, ANSWERED_MS), PAWL_ERR_TIMEOUT);
    assert_int_equal(pawl_latch_left(b), 2);
    assert_int_equal(record_dones(&r), 0);
    CHECK_ERR(pawl_latch_count_down(b, 2, PATIENCE_MS), PAWL_OK);
    assert_int_equal(pawl_latch_left(b), 0);
    record_await_done(&r, 1);
    assert_int_equal(r.done_err, PAWL_OK);
    CHECK_ERR(pawl_latch_wait(a, 0), PAWL_OK);
    CHECK_ERR(pawl_latch_count_down(a, 1, PATIENCE_MS), PAWL_OK); /* not below 0 */
    CHECK_ERR(pawl_latch_look(b, PATIENCE_MS), PAWL_OK);
    assert_int_equal(pawl_latch_left(b), 0);
    pawl_latch_free(waits);
    pawl_latch_free(a);
    pawl_latch_free(b);
    pawl_client_close(other);
    pawl_client_close(client);
    assert_int_equal(record_dones(&r), 1);
}

static void each_of_many_counts_once(void **state)
{
    enum { PARTIES = 8 };
    (void)state;
    record r;
    record_init(&r);
    pawl_client *clients[2] = {stage_client(NULL), stage_client(NULL)};
    const char *name = stage_name();
    pawl_latch *latches[PARTIES];
    for (int i = 0; i < PARTIES; i++) {
        latches[i] = latch_of(clients[i % 2], name, PARTIES + 1, 0);
        CHECK_ERR(pawl_latch_count_down_start(latches[i], 1, PATIENCE_MS, record_done, &r),
                  PAWL_OK);
    }
    record_await_done(&r, PARTIES);
    CHECK_ERR(pawl_latch_look(latches[0], PATIENCE_MS), PAWL_OK);
    assert_int_equal(pawl_latch_left(latches[0]), 1);
    for (int i = 0; i < PARTIES; i++) pawl_latch_free(latches[i]);
    pawl_client_close(clients[0]);
    pawl_client_close(clients[1]);
}

static void another_count_or_kind_is_refused(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL);
    const char *name = stage_name();
    pawl_latch *a = latch_of(client, name, 3, 0), *b = latch_of(client, name, 4, 0);
    CHECK_ERR(pawl_latch_count_down(a, 1, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_latch_count_down(b, 1, PATIENCE_MS), PAWL_ERR_COUNT);
    CHECK_ERR(pawl_latch_wait(b, PATIENCE_MS), PAWL_ERR_COUNT);
    CHECK_ERR(pawl_latch_look(a, PATIENCE_MS), PAWL_OK);
    assert_int_equal(pawl_latch_left(a), 2); /* nothing was counted */
    pawl_latch_free(a);
    pawl_latch_free(b);

    name = stage_name();
    pawl_lock *lock = lock_new(client, name, 30000);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_election_proclaim(lock, "x", 1, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_release_wait(lock, PATIENCE_MS), PAWL_OK);
    a = latch_of(client, name, 3, 0);
    CHECK_ERR(pawl_latch_count_down(a, 1, PATIENCE_MS), PAWL_ERR_KIND);
    CHECK_ERR(pawl_latch_wait(a, PATIENCE_MS), PAWL_ERR_KIND);
    stage_await_free(client, name);
    pawl_latch_free(a);
    pawl_lock_free(lock);
    pawl_client_close(client);
}

/* Until what was to be kept for 50 ms has surely gone. */
static void pass_by(pawl_client *client)
{
    pawl_caps caps;
    CHECK_ERR(pawl_client_caps(client, PATIENCE_MS, &caps), PAWL_OK);
    stage_pass(100 + caps.linger_ms);
}

/* If the store forgot the latch, or began it anew, a handle that saw more is told; then it is used.
 */
static void who_has_seen_it_further_down_is_told(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL);
    const char *name = stage_name();
    pawl_latch *a = latch_of(client, name, 2, 50);
    CHECK_ERR(pawl_latch_count_down(a, 1, PATIENCE_MS), PAWL_OK);
    pass_by(client);
    CHECK_ERR(pawl_latch_wait(a, PATIENCE_MS), PAWL_ERR_BROKEN);
    CHECK_ERR(pawl_latch_wait(a, 0), PAWL_ERR_BUSY);
    assert_int_equal(pawl_latch_left(a), 2);
    CHECK_ERR(pawl_latch_count_down(a, 1, PATIENCE_MS), PAWL_OK);
    pass_by(client);
    CHECK_ERR(pawl_latch_count_down(a, 1, PATIENCE_MS), PAWL_ERR_BROKEN);
    CHECK_ERR(pawl_latch_count_down(a, 1, PATIENCE_MS), PAWL_OK);
    assert_int_equal(pawl_latch_left(a), 1);
    pawl_latch_free(a);
    pawl_client_close(client);
}

static void one_that_is_freed_while_it_waits_is_canceled_once(void **state)
{
    (void)state;
    record r;
    record_init(&r);
    pawl_client *client = stage_client(NULL);
    const char *name = stage_name();
    pawl_latch *a = latch_of(client, name, 2, 0), *counts = latch_of(client, name, 2, 0);
    pawl_lock *lock = lock_new(client, name, 30000);
    CHECK_ERR(pawl_latch_wait_start(a, PAWL_WAIT_FOREVER, record_done, &r), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_latch_count_down_start(counts, 1, PAWL_WAIT_FOREVER, record_done, &r), PAWL_OK);
    pawl_latch_free(a);
    record_await_done(&r, 1);
    assert_int_equal(r.done_err, PAWL_ERR_CANCELED);
    pawl_latch_free(counts);
    record_await_done(&r, 2);
    assert_int_equal(r.done_err, PAWL_ERR_CANCELED);
    pawl_lock_free(lock);
    pawl_client_close(client);
    assert_int_equal(record_dones(&r), 2);
}

static void *wait_on_a_thread(void *latch)
{
    return (void *)(intptr_t)pawl_latch_wait(latch, PAWL_WAIT_FOREVER);
}

static void one_that_waits_on_another_thread_is_canceled(void **state)
{
    (void)state;
    record r;
    record_init(&r);
    pawl_client *client = stage_client(NULL);
    const char *name = stage_name();
    pawl_latch *a = latch_of(client, name, 1, 0), *counts = latch_of(client, name, 1, 0);
    pawl_lock *lock = lock_new(client, name, 30000);
    pthread_t thread;
    void *result;
    CHECK_ERR(pawl_latch_cancel(a), PAWL_ERR_STATE);
    CHECK_ERR(pawl_latch_cancel(NULL), PAWL_ERR_ARGUMENT);
    assert_int_equal(pthread_create(&thread, NULL, wait_on_a_thread, a), 0);
    while (pawl_latch_cancel(a) == PAWL_ERR_STATE) sched_yield();
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_int_equal((intptr_t)result, PAWL_ERR_CANCELED);
    CHECK_ERR(pawl_latch_wait(a, 0), PAWL_ERR_BUSY); /* the next call is not */
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_latch_count_down_start(counts, 1, PAWL_WAIT_FOREVER, record_done, &r), PAWL_OK);
    CHECK_ERR(pawl_latch_cancel(counts), PAWL_OK);
    record_await_done(&r, 1);
    assert_int_equal(r.done_err, PAWL_ERR_CANCELED);
    CHECK_ERR(pawl_lock_release(lock), PAWL_OK);
    CHECK_ERR(pawl_latch_count_down(counts, 1, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_latch_wait(a, PATIENCE_MS), PAWL_OK);
    pawl_lock_free(lock);
    pawl_latch_free(a);
    pawl_latch_free(counts);
    pawl_client_close(client);
}

static void wrong_calls_change_nothing(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL);
    pawl_latch_opts opts;
    pawl_latch *latch = NULL;
    pawl_latch_opts_init(&opts);
    CHECK_ERR(pawl_latch_new(client, "x", 1, NULL, &latch), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_latch_new(client, "x", 1, &opts, &latch), PAWL_ERR_PARTIES);
    opts.count = PAWL_LATCH_COUNT_MAX + 1;
    CHECK_ERR(pawl_latch_new(client, "x", 1, &opts, &latch), PAWL_ERR_PARTIES);
    opts.count = 2;
    opts.keep_ms = 0;
    CHECK_ERR(pawl_latch_new(client, "x", 1, &opts, &latch), PAWL_ERR_ARGUMENT);
    opts.keep_ms = 1;
    opts.ttl_ms = PAWL_TTL_MIN_MS - 1;
    CHECK_ERR(pawl_latch_new(client, "x", 1, &opts, &latch), PAWL_ERR_TTL);
    opts.ttl_ms = PAWL_TTL_MIN_MS;
    CHECK_ERR(pawl_latch_new(client, "", 0, &opts, &latch), PAWL_ERR_NAME);
    assert_null(latch);
    latch = latch_of(client, stage_name(), 2, 0);
    CHECK_ERR(pawl_latch_count_down(latch, 0, 0), PAWL_ERR_PARTIES);
    CHECK_ERR(pawl_latch_count_down(latch, 3, 0), PAWL_ERR_PARTIES);
    CHECK_ERR(pawl_latch_count_down(NULL, 1, 0), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_latch_wait(latch, -2), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_latch_wait_start(latch, 0, NULL, NULL), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_latch_look(NULL, 0), PAWL_ERR_ARGUMENT);
    assert_int_equal(pawl_latch_left(NULL), 0);
    pawl_latch_free(latch);
    assert_null(pawl_latch_free(NULL));
    pawl_client_close(client);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(it_opens_when_all_have_come),
        cmocka_unit_test(each_of_many_counts_once),
        cmocka_unit_test(another_count_or_kind_is_refused),
        cmocka_unit_test(who_has_seen_it_further_down_is_told),
        cmocka_unit_test(one_that_is_freed_while_it_waits_is_canceled_once),
        cmocka_unit_test(one_that_waits_on_another_thread_is_canceled),
        cmocka_unit_test(wrong_calls_change_nothing),
    };
    stage_begin(argc, argv);
    int failed = cmocka_run_group_tests_name("latch", cases, NULL, NULL);
    stage_end();
    return failed;
}
