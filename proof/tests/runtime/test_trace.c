/* SPDX-License-Identifier: MIT */
/*
 * Goal: what pawl/trace.h says of events about locks holds on every store: each is told once, in
 * order, with its numbers; holds and waits balance; nobody waits for the hook; nothing comes after
 * the close. What stores seldom do is in test_trace_trouble.c.
 */
#include "stage.h"
#include "told.h"

#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define TTL_MS 60000

/* A traced client, and a lock of it that nobody else has. */
typedef struct scene {
    told t;
    pawl_client *client;
    char name[32];
    pawl_lock *lock;
} scene;

static void begin_with(scene *s, unsigned flags, int64_t retain_ms)
{
    pawl_lock_opts opts;
    pawl_lock_opts_init(&opts);
    opts.ttl_ms = TTL_MS;
    opts.flags = flags;
    opts.retain_ms = retain_ms;
    told_init(&s->t);
    s->client = told_client(&s->t);
    snprintf(s->name, sizeof s->name, "%s", stage_name());
    CHECK_ERR(pawl_lock_new(s->client, s->name, strlen(s->name), &opts, &s->lock), PAWL_OK);
}

static void begin(scene *s)
{
    begin_with(s, 0, 0);
}

/* Nothing is left open. */
static void end(scene *s)
{
    s->lock = pawl_lock_free(s->lock);
    pawl_client_close(s->client);
    told_check_balance(&s->t, s->name, 0, 0);
    told_free(&s->t);
}

/* ---- One lock ------------------------------------------------------------------------------- */

static void test_a_lock_from_its_wait_to_its_release(void **state)
{
    (void)state;
    scene s;
    begin(&s);
    CHECK_ERR(pawl_lock_acquire(s.lock, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_release_wait(s.lock, PATIENCE_MS), PAWL_OK);

    const pawl_trace *link = told_await(&s.t, PAWL_TRACE_LINK, NULL, 1);
    assert_true(link->up);
    assert_false(link->again);
    assert_int_equal(told_await(&s.t, PAWL_TRACE_ACQUIRING, s.name, 1)->ttl_ms, TTL_MS);
    const pawl_trace *acquired = told_await(&s.t, PAWL_TRACE_ACQUIRED, s.name, 1);
    assert_int_equal(acquired->fence, pawl_lock_fence(s.lock));
    assert_true(acquired->span_ns > 0);
    const pawl_trace *released = told_await(&s.t, PAWL_TRACE_RELEASED, s.name, 1);
    assert_true(released->span_ns > 0);
    assert_true(released->at_ns > acquired->at_ns);
    end(&s);
}

static void test_requests_are_paired_with_replies(void **state)
{
    (void)state;
    scene s;
    begin(&s);
    CHECK_ERR(pawl_lock_acquire(s.lock, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_release_wait(s.lock, PATIENCE_MS), PAWL_OK);

    static const pawl_verb verbs[] = {PAWL_VERB_ACQUIRE, PAWL_VERB_RELEASE};
    static const pawl_outcome outcomes[] = {PAWL_GRANTED, PAWL_RELEASED};
    for (size_t i = 0; i < 2; i++) {
        const pawl_trace *request = told_await(&s.t, PAWL_TRACE_REQUEST, s.name, i + 1);
        const pawl_trace *reply = told_await(&s.t, PAWL_TRACE_REPLY, NULL, i + 1);
        assert_int_equal(request->verb, verbs[i]);
        assert_int_equal(reply->verb, verbs[i]);
        assert_int_equal(reply->outcome, outcomes[i]);
        assert_true(reply->request == request->request);
        assert_true(reply->span_ns > 0);
    }
    end(&s);
}

static void test_the_states_of_a_lease(void **state)
{
    (void)state;
    static const pawl_lease_state path[] = {PAWL_LEASE_ABSENT, PAWL_LEASE_REQUESTING,
                                            PAWL_LEASE_HELD, PAWL_LEASE_RELEASING,
                                            PAWL_LEASE_ABSENT};
    scene s;
    begin(&s);
    CHECK_ERR(pawl_lock_acquire(s.lock, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_release_wait(s.lock, PATIENCE_MS), PAWL_OK);
    for (size_t i = 0; i + 1 < sizeof path / sizeof path[0]; i++) {
        const pawl_trace *move = told_await(&s.t, PAWL_TRACE_LEASE, s.name, i + 1);
        assert_int_equal(move->from, path[i]);
        assert_int_equal(move->to, path[i + 1]);
    }
    end(&s);
}

static void test_one_who_does_not_wait_is_refused(void **state)
{
    (void)state;
    scene s;
    begin(&s);
    pawl_lock *other = lock_new(s.client, s.name, TTL_MS);
    CHECK_ERR(pawl_lock_acquire(s.lock, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire(other, 0), PAWL_ERR_BUSY);
    assert_int_equal(told_await(&s.t, PAWL_TRACE_REFUSED, s.name, 1)->err, PAWL_ERR_BUSY);
    told_check_balance(&s.t, s.name, 1, 0);
    pawl_lock_free(other);
    s.lock = pawl_lock_free(s.lock); /* it gives back */
    told_await(&s.t, PAWL_TRACE_RELEASED, s.name, 1);
    end(&s);
}

static void test_one_who_cancels_is_refused(void **state)
{
    (void)state;
    scene s;
    record r;
    begin(&s);
    record_init(&r);
    pawl_lock *other = lock_new(s.client, s.name, TTL_MS);
    CHECK_ERR(pawl_lock_acquire(s.lock, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire_start(other, PAWL_WAIT_FOREVER, record_done, &r), PAWL_OK);
    told_await(&s.t, PAWL_TRACE_ACQUIRING, s.name, 2);
    told_check_balance(&s.t, s.name, 1, 1);
    CHECK_ERR(pawl_lock_cancel(other), PAWL_OK);
    assert_int_equal(told_await(&s.t, PAWL_TRACE_REFUSED, s.name, 1)->err, PAWL_ERR_CANCELED);
    record_await_done(&r, 1);
    pawl_lock_free(other);
    end(&s);
}

static void test_a_lease_that_is_left_to_others(void **state)
{
    (void)state;
    scene s;
    pawl_token token;
    begin_with(&s, PAWL_LOCK_DETACHED, 0);
    CHECK_ERR(pawl_lock_acquire(s.lock, PATIENCE_MS), PAWL_OK);
    pawl_lock_token(s.lock, &token);
    CHECK_ERR(pawl_lock_detach(s.lock), PAWL_OK);
    told_await(&s.t, PAWL_TRACE_DETACHED, s.name, 1);
    CHECK_ERR(pawl_token_release(s.client, s.name, strlen(s.name), token.text, PATIENCE_MS),
              PAWL_OK);
    end(&s);
}

/* ---- Two clients ---------------------------------------------------------------------------- */

static void test_a_hand_off_between_two_clients(void **state)
{
    (void)state;
    told first, second;
    record r;
    told_init(&first);
    told_init(&second);
    record_init(&r);
    pawl_client *holder = told_client(&first), *waiter = told_client(&second);
    const char *name = stage_name();
    pawl_lock *theirs = lock_new(holder, name, TTL_MS), *lock = lock_new(waiter, name, TTL_MS);
    CHECK_ERR(pawl_lock_acquire(theirs, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire_start(lock, PATIENCE_MS, record_done, &r), PAWL_OK);
    told_await(&first, PAWL_TRACE_WANTED, name, 1);
    CHECK_ERR(pawl_lock_release(theirs), PAWL_OK);
    record_await_done(&r, 1);
    const pawl_trace *push = told_await(&second, PAWL_TRACE_PUSH, name, 1);
    const pawl_trace *acquired = told_await(&second, PAWL_TRACE_ACQUIRED, name, 1);
    assert_int_equal(push->push, PAWL_PUSH_GRANT);
    assert_true(push->fence == acquired->fence);
    pawl_lock_free(lock);
    pawl_lock_free(theirs);
    pawl_client_close(waiter);
    pawl_client_close(holder);
    told_check_balance(&first, name, 0, 0);
    told_check_balance(&second, name, 0, 0);
    told_free(&first);
    told_free(&second);
}

/* ---- Retained leases ------------------------------------------------------------------------ */

static void use(pawl_lock *lock, int times)
{
    for (int i = 0; i < times; i++) {
        CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
        CHECK_ERR(pawl_lock_release(lock), PAWL_OK);
    }
}

static void test_a_loan_and_its_uses(void **state)
{
    (void)state;
    scene s;
    begin_with(&s, 0, TTL_MS);
    use(s.lock, 1 + 100);
    told_await(&s.t, PAWL_TRACE_RETAINED, s.name, 1);
    s.lock = pawl_lock_free(s.lock);
    const pawl_trace *recalled = told_await(&s.t, PAWL_TRACE_RECALLED, s.name, 1);
    assert_int_equal(recalled->count, 100);
    assert_false(recalled->held);
    assert_int_equal(told_count(&s.t, PAWL_TRACE_ACQUIRED, s.name), 1);
    end(&s);
}

static void test_a_loan_that_is_recalled_while_it_is_used(void **state)
{
    (void)state;
    scene s;
    begin_with(&s, 0, TTL_MS);
    use(s.lock, 1);
    CHECK_ERR(pawl_lock_acquire(s.lock, PATIENCE_MS), PAWL_OK);
    s.lock = pawl_lock_free(s.lock); /* while it is held */
    const pawl_trace *recalled = told_await(&s.t, PAWL_TRACE_RECALLED, s.name, 1);
    assert_int_equal(recalled->count, 1);
    assert_true(recalled->held);
    told_await(&s.t, PAWL_TRACE_RELEASED, s.name, 1);
    end(&s);
}

/* ---- The hook ------------------------------------------------------------------------------- */

static void test_only_what_was_asked_for_is_told(void **state)
{
    (void)state;
    told t;
    told_init(&t);
    pawl_open_opts opts;
    pawl_open_opts_init(&opts);
    opts.trace = told_hear;
    opts.trace_userdata = &t;
    opts.trace_kinds = PAWL_TRACE_BIT(PAWL_TRACE_RELEASED);
    pawl_client *client = stage_client(&opts);
    pawl_lock *lock = lock_new(client, stage_name(), TTL_MS);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_release(lock), PAWL_OK);
    pawl_lock_free(lock);
    pawl_client_close(client);
    assert_int_equal(told_count(&t, PAWL_TRACE_RELEASED, NULL), 1);
    assert_int_equal(t.count, 1);
    told_free(&t);
}

/* The end of each hold is told before the close returns; after that the hook is silent. */
static void test_the_close_tells_all_and_then_nothing(void **state)
{
    (void)state;
    told t;
    told_init(&t);
    pawl_client *client = told_client(&t);
    const char *name = stage_name();
    pawl_lock *lock = lock_new(client, name, TTL_MS);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    pawl_client_close(client);
    size_t count = t.count; /* nobody else looks any more */
    told_check_balance(&t, name, 0, 0);
    CHECK_ERR(pawl_lock_acquire(lock, 0), PAWL_ERR_CLOSED);
    CHECK_ERR(pawl_lock_release(lock), PAWL_ERR_CLOSED);
    pawl_lock_free(lock);
    assert_int_equal(t.count, count);
    told_free(&t);
}

static sem_t entered, may_go;

static void stay(pawl_client *client, const pawl_trace *event, void *userdata)
{
    (void)client;
    (void)event;
    (void)userdata;
    sem_post(&entered);
    while (sem_wait(&may_go)) continue;
}

/* Renewals go on, and calls return, while a hook stays for longer than a lease lives. */
static void test_a_slow_hook_holds_up_nobody(void **state)
{
    (void)state;
    sem_init(&entered, 0, 0);
    sem_init(&may_go, 0, 0);
    pawl_open_opts opts;
    pawl_open_opts_init(&opts);
    opts.trace = stay;
    opts.trace_kinds = PAWL_TRACE_BIT(PAWL_TRACE_LINK);
    pawl_client *client = stage_client(&opts);
    pawl_lock *lock = lock_new(client, stage_name(), 1000);
    while (sem_wait(&entered)) continue;
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    stage_pass(2000);
    assert_true(pawl_lock_is_held(lock));
    CHECK_ERR(pawl_lock_release_wait(lock, PATIENCE_MS), PAWL_OK);
    sem_post(&may_go);
    pawl_lock_free(lock);
    pawl_client_close(client);
}

static _Atomic uint64_t heard, dropped;

static void count_events(pawl_client *client, const pawl_trace *event, void *userdata)
{
    (void)client;
    (void)userdata;
    atomic_fetch_add(&heard, 1);
    atomic_fetch_add(&dropped, event->dropped);
}

/* A hook that does not return costs bounded memory, and is told how many events were dropped. */
static void test_a_flood_is_bounded_and_counted(void **state)
{
    (void)state;
    enum { ROUNDS = PAWL_TRACE_WAITING_MAX };
    pawl_open_opts opts;
    pawl_open_opts_init(&opts);
    opts.callbacks = PAWL_CALLBACKS_DISPATCH;
    opts.trace = count_events;
    opts.trace_kinds = PAWL_TRACE_BIT(PAWL_TRACE_ACQUIRED) | PAWL_TRACE_BIT(PAWL_TRACE_RELEASED);
    heard = dropped = 0;
    pawl_client *client = stage_client(&opts);
    pawl_lock *lock = lock_new(client, stage_name(), TTL_MS);
    use(lock, ROUNDS); /* two events each */
    assert_int_equal(heard, 0);
    int ran = 0;
    for (int more; (more = pawl_client_dispatch(client)) > 0;) ran += more;
    assert_int_equal(ran, PAWL_TRACE_WAITING_MAX);
    assert_int_equal(dropped, 0); /* all that waited is older than what was dropped */
    use(lock, 1);
    while (pawl_client_dispatch(client) > 0) continue;
    assert_int_equal(heard, PAWL_TRACE_WAITING_MAX + 2);
    assert_int_equal(dropped, 2 * ROUNDS - PAWL_TRACE_WAITING_MAX);
    pawl_lock_free(lock);
    pawl_client_close(client);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_lock_from_its_wait_to_its_release),
        cmocka_unit_test(test_requests_are_paired_with_replies),
        cmocka_unit_test(test_the_states_of_a_lease),
        cmocka_unit_test(test_one_who_does_not_wait_is_refused),
        cmocka_unit_test(test_one_who_cancels_is_refused),
        cmocka_unit_test(test_a_lease_that_is_left_to_others),
        cmocka_unit_test(test_a_hand_off_between_two_clients),
        cmocka_unit_test(test_a_loan_and_its_uses),
        cmocka_unit_test(test_a_loan_that_is_recalled_while_it_is_used),
        cmocka_unit_test(test_only_what_was_asked_for_is_told),
        cmocka_unit_test(test_the_close_tells_all_and_then_nothing),
        cmocka_unit_test(test_a_slow_hook_holds_up_nobody),
        cmocka_unit_test(test_a_flood_is_bounded_and_counted),
    };
    stage_begin(argc, argv);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    stage_end();
    return failed;
}
