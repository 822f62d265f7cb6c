/* SPDX-License-Identifier: MIT */
/*
 * Goal: a store that stops, dies, refuses or is not there: the holder is told at
 * its deadline at the latest, callers get the reason, and everything recovers by
 * itself. Method: a real redis-server, stopped, killed and restarted.
 */
#include "redis_server.h"
#include "stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static pawl_client *client_of(const char *url, int64_t store_timeout_ms, record *log)
{
    pawl_open_opts opts;
    pawl_open_opts_init(&opts);
    opts.store_timeout_ms = store_timeout_ms;
    opts.close_timeout_ms = 100;
    if (log) {
        opts.log = record_log;
        opts.log_userdata = log;
    }
    char message[PAWL_MESSAGE_MAX] = "";
    pawl_client *client = NULL;
    int err = pawl_client_open(url, &opts, &client, message);
    if (err) FAIL_TEST("%s: %s", url, message);
    return client;
}

static void test_stopped_server_means_loss_at_the_deadline(void **state)
{
    (void)state;
    record r, log;
    record_init(&r);
    record_init(&log);
    pawl_client *client = client_of(stage_url(), 5000, &log);
    pawl_lock *lock = lock_with_events(client, stage_name(), 1000, record_event, &r);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    uint64_t fence = pawl_lock_fence(lock);

    redis_server_pause(stage_redis());
    int64_t stopped_at = stage_now_ms();
    record_await_event(&r, PAWL_EVENT_DOUBT, 1);
    bool doubted_in_time = stage_now_ms() - stopped_at < 900;
    record_await_event(&r, PAWL_EVENT_LOST, 1);
    int64_t told_after = stage_now_ms() - stopped_at;
    bool held = pawl_lock_is_held(lock);
    redis_server_resume(stage_redis()); /* before anything may fail and leave it stopped */

    assert_true(doubted_in_time);
    assert_false(held);
    /* ttl less the margin, counted from a renewal that was at most ttl/3 ago */
    if (told_after < 1000 - 102 - 334 - 50 || told_after > 1000 - 102 + 400)
        FAIL_TEST("told after %ld ms", (long)told_after);
    assert_int_equal(record_events(&r, PAWL_EVENT_LOST), 1);
    record_await_line(&log, "renewal overdue");
    record_await_line(&log, "lost");

    CHECK_ERR(pawl_lock_release(lock), PAWL_ERR_LOST);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK); /* recovered by itself */
    assert_true(pawl_lock_fence(lock) > fence);
    pawl_lock_free(lock);
    pawl_client_close(client);
}

static void test_short_stop_is_only_doubt(void **state)
{
    (void)state;
    record r;
    record_init(&r);
    pawl_client *client = client_of(stage_url(), 5000, NULL);
    pawl_lock *lock = lock_with_events(client, stage_name(), 6000, record_event, &r);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    uint64_t fence = pawl_lock_fence(lock);
    redis_server_pause(stage_redis());
    record_await_event(&r, PAWL_EVENT_DOUBT, 1);
    bool held = pawl_lock_is_held(lock);
    redis_server_resume(stage_redis());
    assert_true(held);
    record_await_event(&r, PAWL_EVENT_HELD, 1);
    assert_true(pawl_lock_is_held(lock));
    assert_true(pawl_lock_fence(lock) == fence);
    assert_int_equal(record_events(&r, PAWL_EVENT_LOST), 0);
    CHECK_ERR(pawl_lock_release_wait(lock, PATIENCE_MS), PAWL_OK);
    pawl_lock_free(lock);
    pawl_client_close(client);
}

/* Callers wait for a store that restarts, but not for holders that it has forgotten. */
static const char *unguarded(void)
{
    static char text[PAWL_MESSAGE_MAX];
    snprintf(text, sizeof text, "%s?guard=off", stage_url());
    return text;
}

static void *acquire(void *arg)
{
    int err = pawl_lock_acquire(arg, PATIENCE_MS);
    return (void *)(intptr_t)err;
}

static void test_waiter_survives_a_restart(void **state)
{
    (void)state;
    record log;
    record_init(&log);
    pawl_client *holder = client_of(unguarded(), PATIENCE_MS, NULL);
    pawl_client *client = client_of(unguarded(), PATIENCE_MS, &log);
    const char *name = stage_name();
    pawl_lock *theirs = lock_new(holder, name, 60000), *lock = lock_new(client, name, 60000);
    CHECK_ERR(pawl_lock_acquire(theirs, PATIENCE_MS), PAWL_OK);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, acquire, lock) == 0);
    stage_await_waiters(holder, name, 1);
    redis_server_kill(stage_redis());
    redis_server_restart(stage_redis()); /* it has forgotten everything */
    void *err;
    CHECK(pthread_join(thread, &err) == 0); /* the waiter asks again, nobody holds it there */
    CHECK_ERR((int)(intptr_t)err, PAWL_OK);
    assert_true(pawl_lock_fence(lock) > pawl_lock_fence(theirs)); /* the clock seeds it (law 3) */
    CHECK_ERR(pawl_lock_release_wait(theirs, PATIENCE_MS), PAWL_ERR_LOST);
    assert_true(pawl_lock_is_held(lock));
    pawl_lock_free(lock);
    pawl_lock_free(theirs);
    pawl_client_close(client);
    pawl_client_close(holder);
}

/* How an acquisition ends whose store goes away while it stands in the queue. */
static int end_in_outage(int64_t store_timeout_ms, int64_t wait_ms, bool comes_back)
{
    pawl_client *holder = client_of(unguarded(), 5000, NULL);
    pawl_client *client = client_of(unguarded(), store_timeout_ms, NULL);
    const char *name = stage_name();
    pawl_lock *theirs = lock_new(holder, name, 60000), *lock = lock_new(client, name, 60000);
    record r;
    record_init(&r);
    CHECK_ERR(pawl_lock_acquire(theirs, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire_start(lock, wait_ms, record_done, &r), PAWL_OK);
    stage_await_waiters(holder, name, 1);
    redis_server_kill(stage_redis());
    if (comes_back) stage_pass(300);
    if (comes_back) redis_server_restart(stage_redis());
    record_await_done(&r, 1);
    if (!comes_back) redis_server_restart(stage_redis());
    char reason[PAWL_MESSAGE_MAX];
    pawl_client_reason(client, r.done_err, reason);
    if (r.done_err) assert_non_null(strstr(reason, strstr(stage_url(), "://") + 3));
    pawl_lock_free(lock);
    pawl_lock_free(theirs);
    pawl_client_close(client);
    pawl_client_close(holder);
    return r.done_err;
}

static void test_outage_while_queued(void **state)
{
    (void)state;
    CHECK_ERR(end_in_outage(300, PAWL_WAIT_FOREVER, false), PAWL_ERR_UNAVAILABLE);
    CHECK_ERR(end_in_outage(5000, 300, false), PAWL_ERR_UNAVAILABLE); /* not TIMEOUT: unknown */
    CHECK_ERR(end_in_outage(PAWL_WAIT_FOREVER, PAWL_WAIT_FOREVER, true), PAWL_OK);
}

static void test_nobody_there(void **state)
{
    (void)state;
    record log;
    record_init(&log);
    pawl_client *client = client_of("redis+unix:///nonexistent/pawl/socket", 200, &log);
    pawl_lock *lock = lock_new(client, "a", 5000);
    record r;
    record_init(&r);
    int64_t start = stage_now_ms();
    CHECK_ERR(pawl_lock_acquire(lock, PAWL_WAIT_FOREVER), PAWL_ERR_UNAVAILABLE);
    CHECK_ERR(pawl_lock_acquire(lock, 0), PAWL_ERR_UNAVAILABLE);
    int64_t span = stage_now_ms() - start;
    assert_true(span >= 200 && span < 5000);
    char message[PAWL_MESSAGE_MAX];
    pawl_client_message(client, message);
    assert_non_null(strstr(message, "/nonexistent/pawl/socket"));
    CHECK_ERR(pawl_lock_acquire_start(lock, PAWL_WAIT_FOREVER, record_done, &r), PAWL_OK);
    record_await_done(&r, 1);
    CHECK_ERR(r.done_err, PAWL_ERR_UNAVAILABLE);
    pawl_caps caps;
    CHECK_ERR(pawl_client_caps(client, 0, &caps), PAWL_ERR_UNAVAILABLE);
    CHECK_ERR(pawl_client_caps(client, 50, &caps), PAWL_ERR_UNAVAILABLE);
    CHECK_ERR(pawl_break(client, "a", 1, 1, PAWL_WAIT_FOREVER), PAWL_ERR_UNAVAILABLE);
    record_await_line(&log, "/nonexistent/pawl/socket");
    pawl_lock_free(lock);
    pawl_client_close(client);
}

/* The reason belongs to the error: the store's words to the store's, else the error's text. */
static void test_the_reason_is_the_stores(void **state)
{
    (void)state;
    char url[PAWL_MESSAGE_MAX], reason[PAWL_MESSAGE_MAX];
    snprintf(url, sizeof url, "%s?db=99", stage_url());
    pawl_client *client = client_of(url, 5000, NULL);
    pawl_lock *lock = lock_new(client, "a", 5000);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_ERR_OPTION);
    pawl_client_reason(client, PAWL_ERR_OPTION, reason);
    assert_non_null(strstr(reason, "DB index is out of range"));
    assert_non_null(strstr(reason, strstr(stage_url(), "://") + 3)); /* and where that is */
    assert_null(strstr(reason, pawl_err_text(PAWL_ERR_OPTION)));
    CHECK_ERR(pawl_break(client, "a", 1, 1, PATIENCE_MS), PAWL_ERR_OPTION);
    pawl_client_reason(client, PAWL_ERR_OPTION, reason);
    assert_non_null(strstr(reason, "DB index is out of range"));
    pawl_client_reason(client, PAWL_ERR_BUSY, reason);
    assert_string_equal(reason, pawl_err_text(PAWL_ERR_BUSY));
    pawl_client_reason(client, PAWL_ERR_AUTH, reason); /* never said */
    assert_non_null(strstr(reason, pawl_err_text(PAWL_ERR_AUTH)));
    assert_non_null(strstr(reason, ", at redis+unix://"));
    pawl_lock_free(lock);
    pawl_client_close(client);
}

static void test_questions_wait_for_the_link(void **state)
{
    (void)state;
    pawl_client *client = client_of(unguarded(), PATIENCE_MS, NULL);
    const char *name = stage_name();
    (void)stage_view(client, name);
    redis_server_kill(stage_redis());
    redis_server_restart(stage_redis());
    /* the first after the break may meet the end of the old connection */
    int err = pawl_break(client, name, strlen(name), 1, PATIENCE_MS);
    CHECK(err == PAWL_ERR_NOT_HELD || err == PAWL_ERR_UNKNOWN); /* it waits: not UNAVAILABLE */
    view v = stage_view(client, name);
    assert_false(v.held);
    pawl_client_close(client);
}

static void test_close_does_not_wait_for_ever(void **state)
{
    (void)state;
    pawl_client *client = client_of(stage_url(), 5000, NULL); /* close_timeout_ms 100 */
    pawl_lock *lock = lock_new(client, stage_name(), 60000);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    redis_server_pause(stage_redis());
    int64_t start = stage_now_ms();
    int err = pawl_lock_release_wait(lock, 50);
    pawl_client_close(client);
    int64_t span = stage_now_ms() - start;
    redis_server_resume(stage_redis());
    CHECK_ERR(err, PAWL_ERR_UNKNOWN);
    assert_true(span >= 150 && span < 5000);
    pawl_lock_free(lock);
}

static void test_release_done_is_unknown_when_closed(void **state)
{
    (void)state;
    record r;
    record_init(&r);
    pawl_client *client = client_of(stage_url(), 5000, NULL);
    pawl_lock *lock = lock_new(client, stage_name(), 60000);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    redis_server_pause(stage_redis());
    int err = pawl_lock_release_start(lock, record_done, &r);
    pawl_client_close(client);
    redis_server_resume(stage_redis());
    CHECK_ERR(err, PAWL_OK);
    assert_int_equal(record_dones(&r), 1);
    CHECK_ERR(r.done_err, PAWL_ERR_UNKNOWN);
    pawl_lock_free(lock);
}

/* An unknown outcome is cleaned up behind the scenes (law 4). */
static void test_canceled_while_unanswered(void **state)
{
    (void)state;
    pawl_client *client = client_of(stage_url(), 5000, NULL), *other;
    const char *name = stage_name();
    pawl_lock *lock = lock_new(client, name, 60000);
    record r;
    record_init(&r);
    (void)stage_view(client, name); /* the link is up */
    redis_server_pause(stage_redis());
    int started = pawl_lock_acquire_start(lock, PAWL_WAIT_FOREVER, record_done, &r);
    int canceled = pawl_lock_cancel(lock);
    record_await_done(&r, 1);
    redis_server_resume(stage_redis());
    CHECK_ERR(started, PAWL_OK);
    CHECK_ERR(canceled, PAWL_OK);
    CHECK_ERR(r.done_err, PAWL_ERR_CANCELED);
    other = client_of(stage_url(), 5000, NULL);
    stage_await_free(other, name); /* though the server took the lock when it went on */
    pawl_lock_free(lock);
    pawl_client_close(client);
    pawl_client_close(other);
}

/* A reader that has seen the deadline pass is never contradicted. */
static void *watch(void *arg)
{
    pawl_lock *lock = arg;
    while (pawl_lock_is_held(lock)) continue;
    for (int i = 0; i < 100000; i++) CHECK(!pawl_lock_is_held(lock));
    return NULL;
}

static void test_loss_is_final_for_readers(void **state)
{
    (void)state;
    pawl_client *client = client_of(stage_url(), 5000, NULL);
    pawl_lock *lock = lock_new(client, stage_name(), 200);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) CHECK(pthread_create(&threads[i], NULL, watch, lock) == 0);
    redis_server_pause(stage_redis());
    while (pawl_lock_is_held(lock)) continue;
    redis_server_resume(stage_redis());
    for (int i = 0; i < 2; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    assert_false(pawl_lock_is_held(lock));
    CHECK_ERR(pawl_lock_release(lock), PAWL_ERR_LOST);
    pawl_lock_free(lock);
    pawl_client_close(client);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stopped_server_means_loss_at_the_deadline),
        cmocka_unit_test(test_short_stop_is_only_doubt),
        cmocka_unit_test(test_waiter_survives_a_restart),
        cmocka_unit_test(test_outage_while_queued),
        cmocka_unit_test(test_nobody_there),
        cmocka_unit_test(test_the_reason_is_the_stores),
        cmocka_unit_test(test_questions_wait_for_the_link),
        cmocka_unit_test(test_close_does_not_wait_for_ever),
        cmocka_unit_test(test_release_done_is_unknown_when_closed),
        cmocka_unit_test(test_canceled_while_unanswered),
        cmocka_unit_test(test_loss_is_final_for_readers),
    };
    stage_begin(argc, argv);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    stage_end();
    return failed;
}
