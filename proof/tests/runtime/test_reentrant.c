/* SPDX-License-Identifier: MIT */
/*
 * Goal: a handle of PAWL_LOCK_REENTRANT counts: an inner acquisition succeeds at once, only the
 * last release gives the lock back, and each call still ends once (law 6). Threads under a chosen
 * schedule are in proof/tests/threads.
 */
#include "stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <sys/wait.h>
#include <unistd.h>

#define SHORT_MS 600
#define LONG_MS  60000

typedef struct rig {
    pawl_client *client, *other;
    const char *name;
    pawl_lock *lock, *rival; /* the other client's, of the same name */
    record events;
} rig;

static pawl_lock *reentrant(pawl_client *client, const char *name, const pawl_lock_opts *more)
{
    pawl_lock_opts opts;
    pawl_lock *lock;
    pawl_lock_opts_init(&opts);
    if (more) opts = *more;
    opts.flags |= PAWL_LOCK_REENTRANT;
    CHECK_ERR(pawl_lock_new(client, name, strlen(name), &opts, &lock), PAWL_OK);
    return lock;
}

static void rig_begin(rig *r, int64_t ttl_ms, int64_t retain_ms, const pawl_open_opts *opts)
{
    pawl_lock_opts lock_opts;
    pawl_lock_opts_init(&lock_opts);
    record_init(&r->events);
    lock_opts.ttl_ms = ttl_ms;
    lock_opts.retain_ms = retain_ms;
    lock_opts.on_event = record_event;
    lock_opts.event_userdata = &r->events;
    r->client = stage_client(opts);
    r->other = stage_client(NULL);
    r->name = stage_name();
    r->lock = reentrant(r->client, r->name, &lock_opts);
    r->rival = lock_new(r->other, r->name, LONG_MS);
}

static void rig_begin_held_twice(rig *r, int64_t ttl_ms)
{
    rig_begin(r, ttl_ms, 0, NULL);
    CHECK_ERR(pawl_lock_acquire(r->lock, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire(r->lock, 0), PAWL_OK);
}

static void rig_end(rig *r)
{
    pawl_lock_free(r->lock);
    pawl_lock_free(r->rival);
    pawl_client_close(r->client);
    pawl_client_close(r->other);
}

static void is_busy(rig *r)
{
    CHECK_ERR(pawl_lock_acquire(r->rival, 0), PAWL_ERR_BUSY);
}

static void is_free(rig *r)
{
    CHECK_ERR(pawl_lock_acquire(r->rival, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_release_wait(r->rival, PATIENCE_MS), PAWL_OK);
}

/* ---- What it is for -------------------------------------------------------------------------- */

static void only_the_last_release_gives_it_back(void **state)
{
    (void)state;
    rig r;
    rig_begin(&r, LONG_MS, 0, NULL);
    for (int i = 0; i < 3; i++) CHECK_ERR(pawl_lock_acquire(r.lock, i ? 0 : PATIENCE_MS), PAWL_OK);
    uint64_t fence = pawl_lock_fence(r.lock);
    CHECK_ERR(pawl_lock_release(r.lock), PAWL_OK);
    CHECK_ERR(pawl_lock_release_wait(r.lock, 0), PAWL_OK); /* at once: nothing is sent */
    is_busy(&r);
    assert_true(pawl_lock_is_held(r.lock) && pawl_lock_fence(r.lock) == fence);
    CHECK_ERR(pawl_lock_release_wait(r.lock, PATIENCE_MS), PAWL_OK);
    assert_false(pawl_lock_is_held(r.lock));
    CHECK_ERR(pawl_lock_release(r.lock), PAWL_ERR_NOT_HELD);
    is_free(&r);
    rig_end(&r);
}

static void another_handle_is_kept_out(void **state)
{
    (void)state;
    rig r;
    rig_begin(&r, LONG_MS, 0, NULL);
    pawl_lock *second = reentrant(r.client, r.name, NULL);
    CHECK_ERR(pawl_lock_acquire(r.lock, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire(second, 0), PAWL_ERR_BUSY); /* never by the thread */
    pawl_lock *plain = lock_new(r.client, "plain", LONG_MS);
    CHECK_ERR(pawl_lock_acquire(plain, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire(plain, 0), PAWL_ERR_STATE);
    pawl_lock_free(plain);
    pawl_lock_free(second);
    rig_end(&r);
}

static void a_reader_comes_in_again_past_a_writer_that_waits(void **state)
{
    (void)state;
    rig r;
    record done;
    record_init(&done);
    rig_begin(&r, LONG_MS, 0, NULL);
    pawl_caps caps;
    CHECK_ERR(pawl_client_caps(r.client, PATIENCE_MS, &caps), PAWL_OK);
    if (!(caps.modes & 1u << PAWL_MODE_SHARED)) {
        rig_end(&r);
        skip_case("this store does not grant all modes");
    }
    pawl_lock_opts opts;
    pawl_lock_opts_init(&opts);
    opts.mode = PAWL_MODE_SHARED;
    pawl_lock *reader = reentrant(r.client, r.name, &opts);
    CHECK_ERR(pawl_lock_acquire(reader, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire_start(r.rival, PAWL_WAIT_FOREVER, record_done, &done), PAWL_OK);
    stage_await_waiters(r.client, r.name, 1);
    CHECK_ERR(pawl_lock_acquire(reader, 0),
              PAWL_OK); /* else it would wait for the writer for ever */
    CHECK_ERR(pawl_lock_release(reader), PAWL_OK);
    CHECK_ERR(pawl_lock_release(reader), PAWL_OK);
    record_await_done(&done, 1);
    CHECK_ERR(done.done_err, PAWL_OK);
    pawl_lock_free(reader);
    rig_end(&r);
}

/* ---- Bounds and refusals --------------------------------------------------------------------- */

static void too_many_are_refused_and_nothing_changes(void **state)
{
    (void)state;
    rig r;
    rig_begin(&r, LONG_MS, 0, NULL);
    for (int i = 0; i < PAWL_REENTRY_MAX; i++)
        CHECK_ERR(pawl_lock_acquire(r.lock, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire(r.lock, PATIENCE_MS), PAWL_ERR_REENTRY);
    CHECK_ERR(pawl_lock_acquire_start(r.lock, 0, record_done, &r.events), PAWL_ERR_REENTRY);
    assert_true(pawl_lock_is_held(r.lock));
    for (int i = 1; i < PAWL_REENTRY_MAX; i++) CHECK_ERR(pawl_lock_release(r.lock), PAWL_OK);
    assert_true(pawl_lock_is_held(r.lock));
    CHECK_ERR(pawl_lock_release_wait(r.lock, PATIENCE_MS), PAWL_OK);
    is_free(&r);
    assert_int_equal(record_dones(&r.events), 0);
    rig_end(&r);
}

static void a_nested_lease_is_not_left_to_others(void **state)
{
    (void)state;
    rig r;
    rig_begin_held_twice(&r, LONG_MS);
    CHECK_ERR(pawl_lock_detach(r.lock), PAWL_ERR_STATE);
    assert_true(pawl_lock_is_held(r.lock));
    CHECK_ERR(pawl_lock_release(r.lock), PAWL_OK);
    CHECK_ERR(pawl_lock_detach(r.lock), PAWL_OK);
    CHECK_ERR(pawl_lock_release(r.lock), PAWL_ERR_NOT_HELD);
    rig_end(&r);
}

static void while_it_waits_no_other_acquisition_begins(void **state)
{
    (void)state;
    rig r;
    rig_begin(&r, LONG_MS, 0, NULL);
    CHECK_ERR(pawl_lock_acquire(r.rival, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire_start(r.lock, PAWL_WAIT_FOREVER, record_done, &r.events), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire(r.lock, 0), PAWL_ERR_STATE);
    CHECK_ERR(pawl_lock_cancel(r.lock), PAWL_OK);
    record_await_done(&r.events, 1);
    CHECK_ERR(r.events.done_err, PAWL_ERR_CANCELED);
    CHECK_ERR(pawl_lock_release(r.lock), PAWL_ERR_NOT_HELD); /* nothing was counted */
    CHECK_ERR(pawl_lock_release(r.rival), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire(r.lock, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_cancel(r.lock), PAWL_ERR_STATE);
    rig_end(&r);
}

/* ---- Asynchronous ---------------------------------------------------------------------------- */

/* Every call is answered once, in order, also where several answers wait to be told. */
static void inner_calls_are_answered_once_each(void **state)
{
    (void)state;
    rig r;
    pawl_open_opts opts;
    pawl_open_opts_init(&opts);
    opts.callbacks = PAWL_CALLBACKS_DISPATCH;
    rig_begin(&r, LONG_MS, 0, &opts);
    CHECK_ERR(pawl_lock_acquire(r.lock, PATIENCE_MS), PAWL_OK);
    for (int i = 0; i < 3; i++)
        CHECK_ERR(pawl_lock_acquire_start(r.lock, 0, record_done, &r.events), PAWL_OK);
    for (int i = 0; i < 2; i++)
        CHECK_ERR(pawl_lock_release_start(r.lock, record_done, &r.events), PAWL_OK);
    assert_int_equal(pawl_client_dispatch(r.client), 5);
    assert_int_equal(record_dones(&r.events), 5);
    CHECK_ERR(r.events.done_err, PAWL_OK);
    CHECK_ERR(pawl_lock_release(r.lock), PAWL_OK);
    assert_true(pawl_lock_is_held(r.lock));
    CHECK_ERR(pawl_lock_release_wait(r.lock, PATIENCE_MS), PAWL_OK);
    assert_int_equal(pawl_client_dispatch(r.client), 0);
    rig_end(&r);
}

/* The same list of answers serves upgrades: a lock that is exclusive is upgraded at once. */
static void two_upgrades_at_once_are_both_answered(void **state)
{
    (void)state;
    rig r;
    pawl_open_opts opts;
    pawl_open_opts_init(&opts);
    opts.callbacks = PAWL_CALLBACKS_DISPATCH;
    rig_begin(&r, LONG_MS, 0, &opts);
    CHECK_ERR(pawl_lock_acquire(r.lock, PATIENCE_MS), PAWL_OK);
    for (int i = 0; i < 2; i++)
        CHECK_ERR(pawl_lock_upgrade_start(r.lock, 0, record_done, &r.events), PAWL_OK);
    assert_int_equal(pawl_client_dispatch(r.client), 2);
    assert_int_equal(record_dones(&r.events), 2);
    rig_end(&r);
}

/* Freed before the answers were told: they come all the same, and say that nothing is held. */
static void freeing_gives_all_back_and_answers_all(void **state)
{
    (void)state;
    rig r;
    pawl_open_opts opts;
    pawl_open_opts_init(&opts);
    opts.callbacks = PAWL_CALLBACKS_DISPATCH;
    rig_begin(&r, LONG_MS, 0, &opts);
    CHECK_ERR(pawl_lock_acquire(r.lock, PATIENCE_MS), PAWL_OK);
    for (int i = 0; i < 2; i++)
        CHECK_ERR(pawl_lock_acquire_start(r.lock, 0, record_done, &r.events), PAWL_OK);
    r.lock = pawl_lock_free(r.lock);
    is_free(&r);
    assert_int_equal(pawl_client_dispatch(r.client), 2);
    CHECK_ERR(r.events.done_err, PAWL_ERR_CANCELED);
    assert_int_equal(record_dones(&r.events), 2);
    rig_end(&r);
}

/* ---- Trouble --------------------------------------------------------------------------------- */

/* Each caller releases what it acquired, and is told of the loss; the last one frees the handle. */
static void a_loss_is_told_to_each_release(void **state)
{
    (void)state;
    rig r;
    rig_begin_held_twice(&r, SHORT_MS);
    uint64_t fence = pawl_lock_fence(r.lock);
    CHECK_ERR(pawl_break(r.other, r.name, strlen(r.name), fence, PATIENCE_MS), PAWL_OK);
    record_await_event(&r.events, PAWL_EVENT_LOST, 1);
    CHECK_ERR(pawl_lock_acquire(r.lock, 0), PAWL_ERR_LOST);
    CHECK_ERR(pawl_lock_release_start(r.lock, record_done, &r.events), PAWL_ERR_LOST);
    CHECK_ERR(pawl_lock_acquire(r.lock, 0), PAWL_ERR_LOST);
    CHECK_ERR(pawl_lock_release(r.lock), PAWL_ERR_LOST);
    CHECK_ERR(pawl_lock_release(r.lock), PAWL_ERR_NOT_HELD);
    CHECK_ERR(pawl_lock_acquire(r.lock, PATIENCE_MS), PAWL_OK);
    assert_true(pawl_lock_fence(r.lock) > fence);
    assert_int_equal(record_events(&r.events, PAWL_EVENT_LOST), 1);
    assert_int_equal(record_dones(&r.events), 0);
    rig_end(&r);
}

static void a_close_ends_all_of_it(void **state)
{
    (void)state;
    rig r;
    rig_begin_held_twice(&r, LONG_MS);
    r.client = pawl_client_close(r.client);
    assert_false(pawl_lock_is_held(r.lock));
    CHECK_ERR(pawl_lock_acquire(r.lock, 0), PAWL_ERR_CLOSED);
    CHECK_ERR(pawl_lock_release(r.lock), PAWL_ERR_CLOSED);
    is_free(&r);
    rig_end(&r);
}

static void a_child_of_a_fork_has_none_of_it(void **state)
{
    (void)state;
    rig r;
    rig_begin_held_twice(&r, LONG_MS);
    pid_t child = fork();
    if (child == 0) {
        bool refused = pawl_lock_acquire(r.lock, 0) == PAWL_ERR_FORKED &&
                       pawl_lock_release(r.lock) == PAWL_ERR_FORKED && !pawl_lock_is_held(r.lock);
        pawl_lock_free(r.lock);
        _exit(refused ? 0 : 1);
    }
    int status;
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    assert_int_equal(status, 0);
    CHECK_ERR(pawl_lock_release(r.lock), PAWL_OK);
    assert_true(pawl_lock_is_held(r.lock));
    rig_end(&r);
}

/* ---- Retained -------------------------------------------------------------------------------- */

/* An inner acquisition ends the loan; the last release lends anew, and the fence tells of it. */
static void a_retained_lease_is_put_back_by_the_last_release(void **state)
{
    (void)state;
    rig r;
    rig_begin(&r, LONG_MS, LONG_MS, NULL);
    CHECK_ERR(pawl_lock_acquire(r.lock, PATIENCE_MS), PAWL_OK);
    uint64_t fence = pawl_lock_fence(r.lock);
    for (int round = 0; round < 3; round++) {
        if (round) CHECK_ERR(pawl_lock_acquire(r.lock, PATIENCE_MS), PAWL_OK);
        CHECK_ERR(pawl_lock_acquire(r.lock, 0), PAWL_OK);
        CHECK_ERR(pawl_lock_acquire(r.lock, 0), PAWL_OK);
        for (int i = 0; i < 2; i++) {
            CHECK_ERR(pawl_lock_release(r.lock), PAWL_OK);
            assert_true(pawl_lock_is_held(r.lock));
        }
        CHECK_ERR(pawl_lock_release(r.lock), PAWL_OK);
        assert_false(pawl_lock_is_held(r.lock));
    }
    assert_true(pawl_lock_fence(r.lock) == fence); /* one lease served all */
    is_free(&r);
    rig_end(&r);
}

#define ENTRIES 2000

typedef struct entrant {
    pawl_lock *lock;
    _Atomic int *inside;
    bool refused;
} entrant;

static void *enter_and_leave(void *arg)
{
    entrant *e = arg;
    for (int i = 0; i < ENTRIES; i++) {
        if (pawl_lock_acquire(e->lock, 0)) e->refused = true;
        atomic_fetch_add(e->inside, 1);
        if (!pawl_lock_is_held(e->lock)) e->refused = true;
        atomic_fetch_sub(e->inside, 1);
        if (pawl_lock_release(e->lock)) e->refused = true;
    }
    return NULL;
}

/* The outer acquisition keeps it, whatever threads come and go. */
static void threads_share_a_handle(void **state)
{
    (void)state;
    rig r;
    _Atomic int inside = 0;
    pthread_t threads[4];
    entrant entrants[4];
    rig_begin(&r, LONG_MS, LONG_MS, NULL);
    CHECK_ERR(pawl_lock_acquire(r.lock, PATIENCE_MS), PAWL_OK);
    for (int i = 0; i < 4; i++) {
        entrants[i] = (entrant){.lock = r.lock, .inside = &inside};
        CHECK(pthread_create(&threads[i], NULL, enter_and_leave, &entrants[i]) == 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_false(entrants[i].refused);
    }
    assert_true(pawl_lock_is_held(r.lock));
    CHECK_ERR(pawl_lock_release(r.lock), PAWL_OK);
    CHECK_ERR(pawl_lock_release(r.lock), PAWL_ERR_NOT_HELD);
    rig_end(&r);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_last_release_gives_it_back),
        cmocka_unit_test(another_handle_is_kept_out),
        cmocka_unit_test(a_reader_comes_in_again_past_a_writer_that_waits),
        cmocka_unit_test(too_many_are_refused_and_nothing_changes),
        cmocka_unit_test(a_nested_lease_is_not_left_to_others),
        cmocka_unit_test(while_it_waits_no_other_acquisition_begins),
        cmocka_unit_test(inner_calls_are_answered_once_each),
        cmocka_unit_test(two_upgrades_at_once_are_both_answered),
        cmocka_unit_test(freeing_gives_all_back_and_answers_all),
        cmocka_unit_test(a_loss_is_told_to_each_release),
        cmocka_unit_test(a_close_ends_all_of_it),
        cmocka_unit_test(a_child_of_a_fork_has_none_of_it),
        cmocka_unit_test(a_retained_lease_is_put_back_by_the_last_release),
        cmocka_unit_test(threads_share_a_handle),
    };
    stage_begin(argc, argv);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    stage_end();
    return failed;
}
