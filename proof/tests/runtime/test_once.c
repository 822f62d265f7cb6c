/* SPDX-License-Identifier: MIT */
/* Goal: a job runs once in a period, as pawl/composed.h says, on every store that keeps values. */
#include "pawl/composed.h"
#include "stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* So long that no test sees its end. */
#define LONG_PERIOD_MS PAWL_ONCE_EVERY_MAX_MS

static pawl_once *once_in(pawl_client *client, const char *name, int64_t every_ms, uint64_t flags)
{
    pawl_once_opts opts;
    pawl_once *once;
    pawl_once_opts_init(&opts);
    opts.every_ms = every_ms;
    opts.flags = flags;
    CHECK_ERR(pawl_once_new(client, name, strlen(name), &opts, &once), PAWL_OK);
    return once;
}

static pawl_once_info last(pawl_once *once)
{
    pawl_once_info info;
    CHECK_ERR(pawl_once_look(once, PATIENCE_MS), PAWL_OK);
    pawl_once_last(once, &info);
    return info;
}

static void one_success_in_a_period(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL), *other = stage_client(NULL);
    const char *name = stage_name();
    pawl_once *a = once_in(client, name, LONG_PERIOD_MS, 0);
    pawl_once *b = once_in(other, name, LONG_PERIOD_MS, 0);
    pawl_once_info info = last(a);
    assert_true(info.due && info.outcome == PAWL_ONCE_NEVER && info.now_us > 0);
    assert_true(info.next_us > info.now_us && info.began_us == 0 && info.owner[0] == '\0');
    CHECK_ERR(pawl_once_begin(a, 0), PAWL_OK);
    assert_true(pawl_lock_is_held(pawl_once_lock(a)));
    CHECK_ERR(pawl_once_begin(a, 0), PAWL_ERR_STATE);
    CHECK_ERR(pawl_once_begin(b, 0), PAWL_ERR_BUSY);
    CHECK_ERR(pawl_once_end(b, true, 0), PAWL_ERR_NOT_HELD);
    uint64_t fence = pawl_lock_fence(pawl_once_lock(a));
    CHECK_ERR(pawl_once_end(a, true, PATIENCE_MS), PAWL_OK);
    assert_false(pawl_lock_is_held(pawl_once_lock(a)));
    CHECK_ERR(pawl_once_begin(b, PATIENCE_MS), PAWL_ERR_DONE);
    CHECK_ERR(pawl_once_begin(a, 0), PAWL_ERR_DONE);
    pawl_once_last(b, &info);
    assert_true(info.outcome == PAWL_ONCE_SUCCEEDED && !info.due && info.fence == fence);
    assert_string_equal(info.owner, pawl_client_owner(client));
    assert_true(info.began_us > 0 && info.began_us <= info.ended_us);
    pawl_once_free(a);
    pawl_once_free(b);
    pawl_client_close(other);
    pawl_client_close(client);
}

static void a_failure_gives_the_period_back_or_keeps_it(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL);
    const char *name = stage_name();
    pawl_once *a = once_in(client, name, LONG_PERIOD_MS, 0);
    pawl_once *keeps = once_in(client, name, LONG_PERIOD_MS, PAWL_ONCE_KEEP_ON_FAILURE);
    CHECK_ERR(pawl_once_begin(a, 0), PAWL_OK);
    CHECK_ERR(pawl_once_end(a, false, PATIENCE_MS), PAWL_OK);
    pawl_once_info info = last(a);
    assert_true(info.outcome == PAWL_ONCE_FAILED && info.due);
    CHECK_ERR(pawl_once_begin(keeps, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_once_end(keeps, false, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_once_begin(a, PATIENCE_MS), PAWL_ERR_DONE);
    assert_int_equal(last(a).outcome, PAWL_ONCE_FAILED_KEPT);
    pawl_once_free(a);
    pawl_once_free(keeps);
    pawl_client_close(client);
}

/* What the first one has published may be executed once more, late: then its lease must be over. */
static void the_next_run_of_the_same_client_has_a_lease_of_its_own(void **state)
{
    (void)state;
    record r;
    record_init(&r);
    pawl_client *client = stage_client(NULL);
    const char *name = stage_name();
    pawl_once *a = once_in(client, name, LONG_PERIOD_MS, 0);
    pawl_once *b = once_in(client, name, LONG_PERIOD_MS, 0);
    pawl_lock *behind = lock_new(client, name, 30000);
    CHECK_ERR(pawl_once_begin(a, 0), PAWL_OK);
    uint64_t fence = pawl_lock_fence(pawl_once_lock(a));
    CHECK_ERR(pawl_lock_acquire_start(behind, PATIENCE_MS, record_done, &r), PAWL_OK);
    CHECK_ERR(pawl_once_end(a, false, PATIENCE_MS), PAWL_OK); /* it gives the period back */
    record_await_done(&r, 1);
    assert_true(pawl_lock_fence(behind) > fence);
    CHECK_ERR(pawl_lock_release(behind), PAWL_OK);
    CHECK_ERR(pawl_once_begin(b, PATIENCE_MS), PAWL_OK);
    pawl_lock_free(behind);
    pawl_once_free(a);
    pawl_once_free(b);
    pawl_client_close(client);
}

static void the_next_period_has_a_run_of_its_own(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL);
    pawl_once *a = once_in(client, stage_name(), 200, 0);
    int64_t began[3];
    for (int i = 0; i < 3; i++) {
        int err;
        int64_t start = stage_now_ms();
        while ((err = pawl_once_begin(a, PATIENCE_MS)) == PAWL_ERR_DONE)
            assert_true(stage_now_ms() - start < PATIENCE_MS);
        CHECK_ERR(err, PAWL_OK);
        CHECK_ERR(pawl_once_end(a, true, PATIENCE_MS), PAWL_OK);
        began[i] = last(a).began_us / 200000;
        assert_true(i == 0 || began[i] > began[i - 1]);
    }
    pawl_once_free(a);
    pawl_client_close(client);
}

static void who_dies_in_the_middle_has_done_nothing(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL), *other = stage_client(NULL);
    const char *name = stage_name();
    pawl_once *a = once_in(client, name, LONG_PERIOD_MS, 0);
    pawl_once *b = once_in(other, name, LONG_PERIOD_MS, 0);
    CHECK_ERR(pawl_once_begin(a, 0), PAWL_OK);
    pawl_client_close(client);
    CHECK_ERR(pawl_once_end(a, true, PATIENCE_MS), PAWL_ERR_CLOSED);
    CHECK_ERR(pawl_once_begin(b, PATIENCE_MS), PAWL_OK);
    pawl_once_info info;
    pawl_once_last(b, &info);
    assert_int_equal(info.outcome, PAWL_ONCE_NEVER);
    CHECK_ERR(pawl_once_end(b, true, PATIENCE_MS), PAWL_OK);
    pawl_once_free(a);
    pawl_once_free(b);
    pawl_client_close(other);
}

/* Somebody takes the lock from us: what we say then must not count. */
static void who_has_lost_the_lock_says_nothing(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL), *other = stage_client(NULL);
    const char *name = stage_name();
    pawl_once *a = once_in(client, name, LONG_PERIOD_MS, 0);
    CHECK_ERR(pawl_once_begin(a, 0), PAWL_OK);
    uint64_t fence = pawl_lock_fence(pawl_once_lock(a));
    CHECK_ERR(pawl_break(other, name, strlen(name), fence, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_once_end(a, true, PATIENCE_MS), PAWL_ERR_LOST);
    assert_int_equal(last(a).outcome, PAWL_ONCE_NEVER);
    CHECK_ERR(pawl_once_begin(a, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_once_end(a, true, PATIENCE_MS), PAWL_OK);
    pawl_once_free(a);
    pawl_client_close(other);
    pawl_client_close(client);
}

/* Others are kept away until its lease is over. */
static void a_run_that_is_left_keeps_its_lease_and_may_say_how_it_went(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL), *other = stage_client(NULL);
    pawl_lock_opts lock_opts;
    pawl_lock_opts_init(&lock_opts);
    lock_opts.flags = PAWL_LOCK_DETACHED;
    pawl_once_opts opts;
    pawl_once_opts_init(&opts);
    opts.every_ms = LONG_PERIOD_MS;
    opts.lock = &lock_opts;
    const char *name = stage_name();
    pawl_once *a, *b = once_in(other, name, LONG_PERIOD_MS, 0);
    CHECK_ERR(pawl_once_new(client, name, strlen(name), &opts, &a), PAWL_OK);
    CHECK_ERR(pawl_once_begin(a, 0), PAWL_OK);
    uint64_t fence = pawl_lock_fence(pawl_once_lock(a));
    CHECK_ERR(pawl_lock_detach(pawl_once_lock(a)), PAWL_OK);
    pawl_once_free(a);
    pawl_client_close(client);
    CHECK_ERR(pawl_once_begin(b, 0), PAWL_ERR_BUSY);
    CHECK_ERR(pawl_break(other, name, strlen(name), fence, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_once_begin(b, PATIENCE_MS), PAWL_OK);
    assert_int_equal(last(b).outcome, PAWL_ONCE_NEVER);
    CHECK_ERR(pawl_lock_detach(pawl_once_lock(b)), PAWL_OK);
    CHECK_ERR(pawl_once_end(b, true, PATIENCE_MS), PAWL_OK);
    assert_true(stage_view(other, name).held);
    assert_int_equal(last(b).outcome, PAWL_ONCE_SUCCEEDED);
    pawl_once_free(b);
    pawl_client_close(other);
}

static void calls_that_do_not_wait(void **state)
{
    (void)state;
    record r;
    record_init(&r);
    pawl_client *client = stage_client(NULL);
    const char *name = stage_name();
    pawl_once *a = once_in(client, name, LONG_PERIOD_MS, 0);
    pawl_once *b = once_in(client, name, LONG_PERIOD_MS, 0);
    CHECK_ERR(pawl_once_begin_start(a, 0, record_done, &r), PAWL_OK);
    record_await_done(&r, 1);
    assert_int_equal(r.done_err, PAWL_OK);
    assert_true(pawl_lock_is_held(pawl_once_lock(a)));
    CHECK_ERR(pawl_once_begin_start(b, PAWL_WAIT_FOREVER, record_done, &r), PAWL_OK);
    CHECK_ERR(pawl_once_end_start(a, false, PATIENCE_MS, record_done, &r), PAWL_OK);
    record_await_done(&r, 3);
    CHECK_ERR(pawl_once_end_start(b, true, PATIENCE_MS, record_done, &r), PAWL_OK);
    record_await_done(&r, 4);
    assert_int_equal(r.done_err, PAWL_OK);
    CHECK_ERR(pawl_once_begin_start(a, 0, record_done, &r), PAWL_OK);
    record_await_done(&r, 5);
    assert_int_equal(r.done_err, PAWL_ERR_DONE);
    CHECK_ERR(pawl_once_end_start(a, true, 0, record_done, &r), PAWL_ERR_NOT_HELD);
    pawl_once_free(a);
    pawl_once_free(b);
    pawl_client_close(client);
    assert_int_equal(record_dones(&r), 5);
}

static void one_that_is_freed_while_it_waits_is_canceled_once(void **state)
{
    (void)state;
    record r;
    record_init(&r);
    pawl_client *client = stage_client(NULL), *other = stage_client(NULL);
    const char *name = stage_name();
    pawl_once *a = once_in(client, name, LONG_PERIOD_MS, 0);
    pawl_once *b = once_in(other, name, LONG_PERIOD_MS, 0);
    CHECK_ERR(pawl_once_begin(a, 0), PAWL_OK);
    CHECK_ERR(pawl_once_begin_start(b, PAWL_WAIT_FOREVER, record_done, &r), PAWL_OK);
    stage_await_waiters(client, name, 1);
    pawl_once_free(b);
    record_await_done(&r, 1);
    assert_int_equal(r.done_err, PAWL_ERR_CANCELED);
    stage_await_waiters(client, name, 0);
    pawl_once_free(a);
    stage_await_free(other, name);
    pawl_client_close(other);
    pawl_client_close(client);
    assert_int_equal(record_dones(&r), 1);
}

static void wrong_calls_change_nothing(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL);
    pawl_once_opts opts;
    pawl_lock_opts lock_opts;
    pawl_once *once = NULL;
    pawl_once_opts_init(&opts);
    CHECK_ERR(pawl_once_new(client, "x", 1, NULL, &once), PAWL_ERR_ARGUMENT);
    static const int64_t wrong[] = {0, -1, PAWL_ONCE_EVERY_MIN_MS - 1, PAWL_ONCE_EVERY_MAX_MS + 1};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        opts.every_ms = wrong[i];
        CHECK_ERR(pawl_once_new(client, "x", 1, &opts, &once), PAWL_ERR_ARGUMENT);
    }
    opts.every_ms = 1000;
    opts.flags = 2;
    CHECK_ERR(pawl_once_new(client, "x", 1, &opts, &once), PAWL_ERR_UNSUPPORTED);
    opts.flags = 0;
    opts.lock = &lock_opts;
    pawl_lock_opts_init(&lock_opts);
    lock_opts.flags = PAWL_LOCK_REENTRANT;
    CHECK_ERR(pawl_once_new(client, "x", 1, &opts, &once), PAWL_ERR_ARGUMENT);
    lock_opts.flags = 0;
    lock_opts.mode = PAWL_MODE_SHARED;
    CHECK_ERR(pawl_once_new(client, "x", 1, &opts, &once), PAWL_ERR_ARGUMENT);
    lock_opts.mode = PAWL_MODE_EXCLUSIVE;
    lock_opts.ttl_ms = 1;
    CHECK_ERR(pawl_once_new(client, "x", 1, &opts, &once), PAWL_ERR_TTL);
    opts.lock = NULL;
    CHECK_ERR(pawl_once_new(client, "", 0, &opts, &once), PAWL_ERR_NAME);
    assert_null(once);
    once = once_in(client, stage_name(), 1000, 0);
    CHECK_ERR(pawl_once_begin(once, -2), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_once_begin(NULL, 0), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_once_begin_start(once, 0, NULL, NULL), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_once_end(NULL, true, 0), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_once_look(NULL, 0), PAWL_ERR_ARGUMENT);
    assert_null(pawl_once_lock(NULL));
    pawl_once_free(once);
    assert_null(pawl_once_free(NULL));
    pawl_client_close(client);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(one_success_in_a_period),
        cmocka_unit_test(a_failure_gives_the_period_back_or_keeps_it),
        cmocka_unit_test(the_next_run_of_the_same_client_has_a_lease_of_its_own),
        cmocka_unit_test(the_next_period_has_a_run_of_its_own),
        cmocka_unit_test(who_dies_in_the_middle_has_done_nothing),
        cmocka_unit_test(who_has_lost_the_lock_says_nothing),
        cmocka_unit_test(a_run_that_is_left_keeps_its_lease_and_may_say_how_it_went),
        cmocka_unit_test(calls_that_do_not_wait),
        cmocka_unit_test(one_that_is_freed_while_it_waits_is_canceled_once),
        cmocka_unit_test(wrong_calls_change_nothing),
    };
    stage_begin(argc, argv);
    int failed = cmocka_run_group_tests_name("once", cases, NULL, NULL);
    stage_end();
    return failed;
}
