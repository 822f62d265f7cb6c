/* SPDX-License-Identifier: MIT */
/*
 * Goal: events and completions reach the user where and how he asked, once, with
 * nothing of ours locked: a callback may do anything, also free its handle.
 */
#include "stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <poll.h>

static pawl_client *dispatch_client(void)
{
    pawl_open_opts opts;
    pawl_open_opts_init(&opts);
    opts.callbacks = PAWL_CALLBACKS_DISPATCH;
    return stage_client(&opts);
}

static bool is_readable(pawl_client *client, int timeout_ms)
{
    struct pollfd p = {.fd = pawl_client_fd(client), .events = POLLIN};
    return poll(&p, 1, timeout_ms) == 1;
}

/* Dispatches as a foreign loop would, until so many are done. */
static void run_loop_until_done(pawl_client *client, record *r, int count)
{
    while (record_dones(r) < count) {
        CHECK(is_readable(client, PATIENCE_MS));
        CHECK(pawl_client_dispatch(client) > 0);
    }
}

static void break_lock(pawl_client *client, const char *name)
{
    view v = stage_view(client, name);
    CHECK_ERR(pawl_break(client, name, strlen(name), v.fence, PATIENCE_MS), PAWL_OK);
}

/* ---- Dispatch ------------------------------------------------------------------------------- */

static void test_dispatch_runs_callbacks_here(void **state)
{
    (void)state;
    pawl_client *client = dispatch_client();
    pawl_lock *lock = lock_new(client, stage_name(), 5000);
    record r;
    record_init(&r);
    assert_true(pawl_client_fd(client) >= 0);
    assert_int_equal(pawl_client_dispatch(client), 0);
    assert_false(is_readable(client, 0));
    CHECK_ERR(pawl_lock_acquire_start(lock, PATIENCE_MS, record_done, &r), PAWL_OK);
    assert_true(is_readable(client, PATIENCE_MS));
    assert_true(is_readable(client, 0)); /* it stays so until the callbacks have run */
    assert_int_equal(record_dones(&r), 0);
    assert_int_equal(pawl_client_dispatch(client), 1);
    assert_int_equal(record_dones(&r), 1);
    CHECK_ERR(r.done_err, PAWL_OK);
    assert_true(pthread_equal(r.thread, pthread_self()));
    assert_false(is_readable(client, 0));
    pawl_lock_free(lock);
    pawl_client_close(client);
}

static void test_dispatch_is_bounded(void **state)
{
    (void)state;
    enum { COUNT = PAWL_DISPATCH_MAX + 10 };
    static pawl_lock *locks[COUNT];
    pawl_client *client = dispatch_client();
    const char *name = stage_name();
    pawl_lock *holder = lock_new(client, name, 60000);
    record r;
    record_init(&r);
    CHECK_ERR(pawl_lock_acquire(holder, PATIENCE_MS), PAWL_OK);
    for (int i = 0; i < COUNT; i++) {
        locks[i] = lock_new(client, name, 60000);
        CHECK_ERR(pawl_lock_acquire_start(locks[i], PAWL_WAIT_FOREVER, record_done, &r), PAWL_OK);
    }
    for (int i = 0; i < COUNT; i++) CHECK_ERR(pawl_lock_cancel(locks[i]), PAWL_OK);
    (void)stage_view(client, name); /* behind all that in the driver's queue */
    assert_int_equal(pawl_client_dispatch(client), PAWL_DISPATCH_MAX);
    assert_true(is_readable(client, 0));
    assert_int_equal(pawl_client_dispatch(client), 10);
    assert_false(is_readable(client, 0));
    CHECK_ERR(r.done_err, PAWL_ERR_CANCELED);
    for (int i = 0; i < COUNT; i++) pawl_lock_free(locks[i]);
    pawl_lock_free(holder);
    pawl_client_close(client);
}

static void test_close_runs_what_was_not_dispatched(void **state)
{
    (void)state;
    pawl_client *client = dispatch_client();
    pawl_lock *lock = lock_new(client, stage_name(), 5000);
    record r;
    record_init(&r);
    CHECK_ERR(pawl_lock_acquire_start(lock, PATIENCE_MS, record_done, &r), PAWL_OK);
    assert_true(is_readable(client, PATIENCE_MS));
    assert_int_equal(record_dones(&r), 0);
    pawl_client_close(client);
    assert_int_equal(record_dones(&r), 1);
    pawl_lock_free(lock);
}

static void test_no_dispatch_without_the_option(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL);
    assert_int_equal(pawl_client_fd(client), -1);
    CHECK_ERR(pawl_client_dispatch(client), PAWL_ERR_STATE);
    CHECK_ERR(pawl_client_dispatch(NULL), PAWL_ERR_ARGUMENT);
    assert_int_equal(pawl_client_fd(NULL), -1);
    pawl_client_close(client);
}

static void dispatch_inside(pawl_lock *lock, int err, void *userdata)
{
    pawl_client **client = userdata;
    (void)lock;
    (void)err;
    CHECK(pawl_client_dispatch(*client) == 0);
    *client = NULL; /* seen */
}

static void test_dispatch_inside_a_callback(void **state)
{
    (void)state;
    pawl_client *client = dispatch_client(), *seen = client;
    pawl_lock *lock = lock_new(client, stage_name(), 5000);
    CHECK_ERR(pawl_lock_acquire_start(lock, PATIENCE_MS, dispatch_inside, &seen), PAWL_OK);
    assert_true(is_readable(client, PATIENCE_MS));
    assert_int_equal(pawl_client_dispatch(client), 1);
    assert_null(seen);
    pawl_lock_free(lock);
    pawl_client_close(client);
}

/* ---- Whatever a callback does --------------------------------------------------------------- */

static void free_itself(pawl_lock *lock, int err, void *userdata)
{
    CHECK_ERR(err, PAWL_OK);
    CHECK(pawl_lock_is_held(lock));
    pawl_lock_free(lock);
    record_done(lock, err, userdata);
}

static void test_free_in_the_done_callback(void **state)
{
    (void)state;
    pawl_client *clients[] = {stage_client(NULL), dispatch_client()};
    for (size_t i = 0; i < 2; i++) {
        const char *name = stage_name();
        pawl_lock *lock = lock_new(clients[i], name, 60000);
        record r;
        record_init(&r);
        CHECK_ERR(pawl_lock_acquire_start(lock, PATIENCE_MS, free_itself, &r), PAWL_OK);
        if (i == 0) record_await_done(&r, 1);
        if (i == 1) run_loop_until_done(clients[i], &r, 1);
        stage_await_free(clients[i], name);
        pawl_client_close(clients[i]);
    }
}

typedef struct freeing {
    record r;
    pawl_event_kind on;
} freeing;

static void free_on_event(pawl_lock *lock, const pawl_event *event, void *userdata)
{
    freeing *f = userdata;
    if (event->kind != f->on) return;
    pawl_lock_free(lock);
    record_event(lock, event, &f->r);
}

static void test_free_in_the_lost_callback(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL), *other = stage_client(NULL);
    const char *name = stage_name();
    freeing f = {.on = PAWL_EVENT_LOST};
    record_init(&f.r);
    pawl_lock *lock = lock_with_events(client, name, RENEWED_SOON_MS, free_on_event, &f);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    break_lock(other, name);
    record_await_event(&f.r, PAWL_EVENT_LOST, 1);
    pawl_client_close(client);
    pawl_client_close(other);
    assert_int_equal(record_events(&f.r, PAWL_EVENT_LOST), 1);
}

static void test_free_in_the_yield_callback_hands_over(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL), *other = stage_client(NULL);
    const char *name = stage_name();
    freeing f = {.on = PAWL_EVENT_YIELD};
    record_init(&f.r);
    pawl_lock *lock = lock_with_events(client, name, 60000, free_on_event, &f);
    pawl_lock *theirs = lock_new(other, name, 60000);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire(theirs, PATIENCE_MS), PAWL_OK); /* its wish frees the other */
    record_await_event(&f.r, PAWL_EVENT_YIELD, 1);
    pawl_lock_free(theirs);
    pawl_client_close(client);
    pawl_client_close(other);
}

/* A callback that waits for another lock of the same client: renewals must go on. */
static void acquire_inside(pawl_lock *lock, int err, void *userdata)
{
    pawl_lock *second = userdata;
    CHECK_ERR(err, PAWL_OK);
    CHECK_ERR(pawl_lock_acquire(second, PATIENCE_MS), PAWL_OK);
    CHECK(pawl_lock_is_held(lock));
    CHECK_ERR(pawl_lock_release(lock), PAWL_OK);
    CHECK_ERR(pawl_lock_release_wait(second, PATIENCE_MS), PAWL_OK);
}

static void test_blocking_calls_in_a_callback(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL), *other = stage_client(NULL);
    const char *name = stage_name();
    char second_name[40];
    snprintf(second_name, sizeof second_name, "%s-second", name);
    pawl_lock *lock = lock_new(client, name, RENEWED_SOON_MS);
    pawl_lock *second = lock_new(client, second_name, 5000);
    pawl_lock *theirs = lock_new(other, second_name, 5000);
    CHECK_ERR(pawl_lock_acquire(theirs, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire_start(lock, PATIENCE_MS, acquire_inside, second), PAWL_OK);
    stage_await_waiters(other, second_name, 1);
    stage_pass(2 * RENEWED_SOON_MS); /* of the lock whose callback waits */
    assert_true(pawl_lock_is_held(lock));
    CHECK_ERR(pawl_lock_release(theirs), PAWL_OK);
    stage_await_free(other, name);
    stage_await_free(other, second_name);
    pawl_client_close(client);
    pawl_lock_free(lock);
    pawl_lock_free(second);
    pawl_lock_free(theirs);
    pawl_client_close(other);
}

typedef struct gate {
    record r;
    pthread_mutex_t mutex; /* held by the test while the callback shall stay inside */
    _Atomic bool left;     /* the callback */
    _Atomic bool freed;    /* pawl_lock_free has returned */
    pawl_lock *lock;
} gate;

static void stay_inside(pawl_lock *lock, const pawl_event *event, void *userdata)
{
    gate *g = userdata;
    record_event(lock, event, &g->r);
    pthread_mutex_lock(&g->mutex);
    pthread_mutex_unlock(&g->mutex);
    g->left = true;
}

static void *free_lock(void *arg)
{
    gate *g = arg;
    pawl_lock_free(g->lock);
    CHECK(g->left);
    g->freed = true;
    return NULL;
}

/* When pawl_lock_free has returned, the program may free what its callbacks use. */
static void test_free_waits_for_a_running_event_callback(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL), *other = stage_client(NULL);
    const char *name = stage_name();
    gate g = {.mutex = PTHREAD_MUTEX_INITIALIZER};
    record_init(&g.r);
    pawl_lock *lock = lock_with_events(client, name, RENEWED_SOON_MS, stay_inside, &g);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    pthread_mutex_lock(&g.mutex);
    break_lock(other, name);
    record_await_event(&g.r, PAWL_EVENT_LOST, 1);
    pthread_t freer;
    g.lock = lock;
    CHECK(pthread_create(&freer, NULL, free_lock, &g) == 0);
    stage_pass(30); /* gives a free that does not wait the time to be caught */
    assert_false(g.freed);
    pthread_mutex_unlock(&g.mutex);
    CHECK(pthread_join(freer, NULL) == 0);
    assert_true(g.freed);
    pawl_client_close(client);
    pawl_client_close(other);
}

/* ---- The thread of the callbacks waits in the loop ------------------------------------------- */

#define LONG_MS 300000 /* nothing is due before PATIENCE_MS is over */

typedef struct chain {
    pawl_client *client, *other;
    pawl_lock *held, *first, *waiting, *rival;
    record begun, over;
    int64_t stays_ms;
    bool still_held;
} chain;

static void stay(pawl_lock *lock, int err, void *userdata)
{
    chain *c = userdata;
    stage_pass(c->stays_ms);
    c->still_held = pawl_lock_is_held(c->held);
    record_done(lock, err, &c->over);
}

static void begin_next(pawl_lock *lock, int err, void *userdata)
{
    chain *c = userdata;
    CHECK_ERR(pawl_lock_acquire_start(c->waiting, PAWL_WAIT_FOREVER, stay, c), PAWL_OK);
    record_done(lock, err, &c->begun);
}

/* A client that holds a lock, and whose thread of the callbacks waits for another that a rival has.
 */
static void begin_chain(chain *c, int64_t held_ttl_ms)
{
    pawl_open_opts opts;
    pawl_open_opts_init(&opts);
    opts.store_timeout_ms = LONG_MS;
    c->client = stage_client(&opts);
    c->other = stage_client(NULL);
    record_init(&c->begun);
    record_init(&c->over);
    pawl_lock_opts lock_opts;
    pawl_lock_opts_init(&lock_opts);
    lock_opts.ttl_ms = held_ttl_ms;
    lock_opts.flags = PAWL_LOCK_REENTRANT;
    const char *name = stage_name();
    CHECK_ERR(pawl_lock_new(c->client, name, strlen(name), &lock_opts, &c->held), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire(c->held, PATIENCE_MS), PAWL_OK);
    c->rival = lock_new(c->other, stage_name(), LONG_MS);
    CHECK_ERR(pawl_lock_acquire(c->rival, PATIENCE_MS), PAWL_OK);
    c->waiting = lock_new(c->client, pawl_lock_name(c->rival), LONG_MS);
    c->first = lock_new(c->client, stage_name(), LONG_MS);
    CHECK_ERR(pawl_lock_acquire_start(c->first, PATIENCE_MS, begin_next, c), PAWL_OK);
    record_await_done(&c->begun, 1);
    stage_pass(1000); /* until its threads sleep as long as they would */
}

static void end_chain(chain *c)
{
    CHECK_ERR(pawl_lock_release(c->rival), PAWL_OK);
    record_await_done(&c->over, 1);
    CHECK_ERR(c->over.done_err, PAWL_OK);
    assert_true(c->still_held);
    pawl_lock_free(c->first);
    pawl_lock_free(c->waiting);
    pawl_lock_free(c->held);
    pawl_lock_free(c->rival);
    pawl_client_close(c->client);
    pawl_client_close(c->other);
}

/* What another thread has to tell is told at once, although the store says nothing meanwhile. */
static void test_a_callback_comes_while_another_call_waits(void **state)
{
    (void)state;
    chain c = {.stays_ms = 0};
    record again;
    record_init(&again);
    begin_chain(&c, LONG_MS);
    int64_t since = stage_now_ms();
    CHECK_ERR(pawl_lock_acquire_start(c.held, 0, record_done, &again), PAWL_OK);
    record_await_done(&again, 1);
    assert_true(stage_now_ms() - since < PATIENCE_MS / 2); /* and not when something else is due */
    assert_int_equal(record_dones(&c.over), 0);
    end_chain(&c);
}

/* Leases are renewed while that thread waits in the loop, and while a callback keeps it elsewhere.
 */
static void test_leases_are_renewed_while_a_callback_stays(void **state)
{
    (void)state;
    int64_t ttl_ms = 2 * RENEWED_SOON_MS; /* it is not to be lost at any load */
    chain c = {.stays_ms = ttl_ms + 500};
    begin_chain(&c, ttl_ms);
    stage_pass(ttl_ms);
    assert_true(pawl_lock_is_held(c.held));
    end_chain(&c);
}

/* ---- Events --------------------------------------------------------------------------------- */

static void test_broken_lock_is_lost_once(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL), *other = stage_client(NULL);
    const char *name = stage_name();
    record r;
    record_init(&r);
    pawl_lock *lock = lock_with_events(client, name, RENEWED_SOON_MS, record_event, &r);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    uint64_t fence = pawl_lock_fence(lock);
    break_lock(other, name);
    record_await_event(&r, PAWL_EVENT_LOST, 1); /* the next renewal finds out */
    CHECK_ERR((int)r.event_err, PAWL_ERR_LOST);
    assert_true(strlen(r.message) > 0);
    assert_false(pawl_lock_is_held(lock));
    assert_true(pawl_lock_fence(lock) == fence);
    char message[PAWL_MESSAGE_MAX];
    pawl_client_message(client, message);
    assert_non_null(strstr(message, name));
    CHECK_ERR(pawl_lock_acquire(lock, 0), PAWL_ERR_LOST); /* first it must be seen */
    CHECK_ERR(pawl_lock_acquire_start(lock, 0, record_done, &r), PAWL_ERR_LOST);
    CHECK_ERR(pawl_lock_release(lock), PAWL_ERR_LOST);
    CHECK_ERR(pawl_lock_release(lock), PAWL_ERR_NOT_HELD);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    assert_true(pawl_lock_fence(lock) > fence);
    break_lock(other, name);
    record_await_event(&r, PAWL_EVENT_LOST, 2); /* once for each acquisition */
    CHECK_ERR(pawl_lock_release_wait(lock, PATIENCE_MS), PAWL_ERR_LOST);
    pawl_lock_free(lock);
    pawl_client_close(client);
    pawl_client_close(other);
    assert_int_equal(record_events(&r, PAWL_EVENT_LOST), 2);
}

typedef struct sequence {
    char seen[8];
    size_t count;
} sequence;

static void note(sequence *s, char what)
{
    CHECK(s->count + 1 < sizeof s->seen);
    s->seen[s->count++] = what;
}

static void note_done(pawl_lock *lock, int err, void *userdata)
{
    (void)lock;
    CHECK_ERR(err, PAWL_OK);
    note(userdata, 'a');
}

static void note_event(pawl_lock *lock, const pawl_event *event, void *userdata)
{
    (void)lock;
    if (event->kind == PAWL_EVENT_LOST) note(userdata, 'l');
}

/* Acquired and lost before the user's loop comes round: he hears both, in that order. */
static void test_callbacks_come_in_order(void **state)
{
    (void)state;
    pawl_client *client = dispatch_client(), *other = stage_client(NULL);
    const char *name = stage_name();
    sequence s = {0};
    pawl_lock *lock = lock_with_events(client, name, RENEWED_SOON_MS, note_event, &s);
    CHECK_ERR(pawl_lock_acquire_start(lock, PATIENCE_MS, note_done, &s), PAWL_OK);
    CHECK(is_readable(client, PATIENCE_MS));
    break_lock(other, name);
    while (pawl_lock_is_held(lock)) (void)stage_view(other, name);
    while (s.count < 2) {
        CHECK(is_readable(client, PATIENCE_MS));
        (void)pawl_client_dispatch(client);
    }
    assert_string_equal(s.seen, "al");
    pawl_lock_free(lock);
    pawl_client_close(client);
    pawl_client_close(other);
}

static void test_release_of_a_lock_that_was_broken(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL), *other = stage_client(NULL);
    const char *name = stage_name();
    pawl_lock *lock = lock_new(client, name, 60000);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    break_lock(other, name);
    CHECK_ERR(pawl_lock_release_wait(lock, PATIENCE_MS), PAWL_ERR_LOST); /* the store says so */
    pawl_lock_free(lock);
    pawl_client_close(client);
    pawl_client_close(other);
}

static void test_yield_is_told(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL), *other = stage_client(NULL);
    const char *name = stage_name();
    record r, done;
    record_init(&r);
    record_init(&done);
    pawl_lock *lock = lock_with_events(client, name, 60000, record_event, &r);
    pawl_lock *theirs = lock_new(other, name, 60000);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    assert_int_equal(record_events(&r, PAWL_EVENT_YIELD), 0);
    CHECK_ERR(pawl_lock_acquire_start(theirs, PAWL_WAIT_FOREVER, record_done, &done), PAWL_OK);
    record_await_event(&r, PAWL_EVENT_YIELD, 1);
    assert_true(pawl_lock_is_held(lock)); /* it is a request, no more */
    assert_int_equal(record_dones(&done), 0);
    CHECK_ERR(pawl_lock_release(lock), PAWL_OK);
    record_await_done(&done, 1);
    CHECK_ERR(done.done_err, PAWL_OK);
    pawl_lock_free(lock);
    pawl_lock_free(theirs);
    pawl_client_close(client);
    pawl_client_close(other);
    assert_int_equal(record_events(&r, PAWL_EVENT_LOST), 0);
}

static void test_log_says_what_happens(void **state)
{
    (void)state;
    record r;
    record_init(&r);
    pawl_open_opts opts;
    pawl_open_opts_init(&opts);
    opts.log = record_log;
    opts.log_userdata = &r;
    pawl_client *client = stage_client(&opts), *other = stage_client(NULL);
    const char *name = stage_name();
    record_await_line(&r, "connected");
    pawl_lock *lock = lock_new(client, name, RENEWED_SOON_MS);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    break_lock(other, name);
    char line[64];
    snprintf(line, sizeof line, "lock \"%s\": lost", name);
    record_await_line(&r, line);
    pawl_lock_free(lock);
    pawl_client_close(client);
    pawl_client_close(other);
}

typedef struct reacquiring {
    pawl_lock *lock;
    _Atomic bool runs;
    int err;
} reacquiring;

static void acquire_when_freed(pawl_lock *lock, int err, void *userdata)
{
    reacquiring *r = userdata;
    CHECK_ERR(err, PAWL_OK);
    atomic_store(&r->runs, true);
    while (pawl_lock_is_held(lock))
        stage_pass(1); /* the free has given it back, and waits for us */
    r->err = pawl_lock_acquire(lock, 0);
}

/* Nobody would give it back. */
static void test_a_callback_acquires_nothing_by_a_handle_that_is_being_freed(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL), *other = stage_client(NULL);
    const char *name = stage_name();
    reacquiring r = {.lock = lock_new(client, name, 60000)};
    pawl_lock *theirs = lock_new(other, name, 60000);
    CHECK_ERR(pawl_lock_acquire_start(r.lock, PATIENCE_MS, acquire_when_freed, &r), PAWL_OK);
    while (!atomic_load(&r.runs)) stage_pass(1);
    pawl_lock_free(r.lock);
    CHECK_ERR(r.err, PAWL_ERR_STATE);
    CHECK_ERR(pawl_lock_acquire(theirs, PATIENCE_MS), PAWL_OK);
    pawl_lock_free(theirs);
    pawl_client_close(client);
    pawl_client_close(other);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dispatch_runs_callbacks_here),
        cmocka_unit_test(test_dispatch_is_bounded),
        cmocka_unit_test(test_close_runs_what_was_not_dispatched),
        cmocka_unit_test(test_no_dispatch_without_the_option),
        cmocka_unit_test(test_dispatch_inside_a_callback),
        cmocka_unit_test(test_free_in_the_done_callback),
        cmocka_unit_test(test_free_in_the_lost_callback),
        cmocka_unit_test(test_free_in_the_yield_callback_hands_over),
        cmocka_unit_test(test_blocking_calls_in_a_callback),
        cmocka_unit_test(test_free_waits_for_a_running_event_callback),
        cmocka_unit_test(test_a_callback_acquires_nothing_by_a_handle_that_is_being_freed),
        cmocka_unit_test(test_a_callback_comes_while_another_call_waits),
        cmocka_unit_test(test_leases_are_renewed_while_a_callback_stays),
        cmocka_unit_test(test_broken_lock_is_lost_once),
        cmocka_unit_test(test_callbacks_come_in_order),
        cmocka_unit_test(test_release_of_a_lock_that_was_broken),
        cmocka_unit_test(test_yield_is_told),
        cmocka_unit_test(test_log_says_what_happens),
    };
    stage_begin(argc, argv);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    stage_end();
    return failed;
}
