/* SPDX-License-Identifier: MIT */
/* Rules 1, 2 and 7 when things go wrong: closing, forking, threads, a store that is away or mute.
 */
#define _GNU_SOURCE
#include "conformance.h"

#include "../support/check.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- Answers ------------------------------------------------------------------------ */

static void a_burst_is_answered_once_each(void **state)
{
    stage *s = *state;
    client *a = join(s, "a");
    int burst = s->kind->is_slow ? 500 : 2000;
    for (int i = 0; i < burst; i++) {
        char suffix[32];
        snprintf(suffix, sizeof(suffix), "burst-%d", i % 7);
        pawl_request request = ask_queue(lock_name(s, suffix), fresh_token(), LONG_MS);
        client_submit(a, &request);
    }
    client_flush(a);
    client_await_all(a);
    test_loop_for(s->loop, 20); /* a doubled answer would come now; the host watches */
    client_close(a);
}

#define ANSWER_MS 2000 /* and the host adds 3 s for a machine that stands still */

/* Of each verb that all stores have. What comes a second time, or after its time, comes now. */
static void each_answer_comes_once_and_in_time(void **state)
{
    stage *s = *state;
    client *a = join(s, "a");
    const char *name = lock_name(s, "x"), *token = fresh_token();
    pawl_request requests[] = {ask_acquire(name, token, LONG_MS),
                               ask_renew(name, token, LONG_MS),
                               ask_inspect(name, token),
                               ask_release(name, token),
                               ask_break(name, 1),
                               ask_doctor()};
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        requests[i].answer_by = host_now() + ANSWER_MS * INT64_C(1000000);
        const seen_reply *r = client_ask(a, &requests[i]);
        if (r->reply.outcome == PAWL_UNKNOWN) /* on a machine that stands still */
            assert_true(r->answered_at - r->sent_at >= ANSWER_MS * INT64_C(1000000));
    }
    test_loop_for(s->loop, SHORT_MS); /* the host watches */
    client_close(a);
}

static void a_flush_without_requests_is_nothing(void **state)
{
    stage *s = *state;
    client *a = join(s, "a");
    for (int i = 0; i < 3; i++) client_flush(a);
    expect(a, ask_acquire(lock_name(s, "x"), fresh_token(), LONG_MS), PAWL_GRANTED);
    client_close(a);
}

static void the_link_comes_up_once(void **state)
{
    stage *s = *state;
    client *a = join(s, "a");
    expect(a, ask_acquire(lock_name(s, "x"), fresh_token(), LONG_MS), PAWL_GRANTED);
    assert_int_equal(client_link_count(a), 1);
    client_close(a);
}

/* ---- Closing ------------------------------------------------------------------------------ */

static void closing_before_the_link_is_up_is_quiet(void **state)
{
    stage *s = *state;
    for (int i = 0; i < 5; i++) client_abandon(client_open(s->loop, &s->address, "a"));
}

static void closing_with_requests_outstanding_is_quiet(void **state)
{
    stage *s = *state;
    for (int round = 0; round < 5; round++) {
        client *a = join(s, "a");
        for (int i = 0; i < 100; i++) {
            pawl_request request = ask_queue(lock_name(s, "x"), fresh_token(), SHORT_MS);
            client_submit(a, &request);
        }
        pawl_request look = ask_list("");
        client_submit(a, &look);
        client_flush(a);
        client_abandon(a);
    }
}

static void what_was_flushed_before_closing_is_done(void **state)
{
    stage *s = *state;
    client *b = join(s, "b");
    for (int round = 0; round < 10; round++) {
        client *a = join(s, "a");
        const char *name = lock_name(s, "x"), *token = fresh_token(), *next = fresh_token();
        expect(a, ask_acquire(name, token, LONG_MS), PAWL_GRANTED);
        pawl_request release = ask_release(name, token);
        client_submit(a, &release);
        client_flush(a);
        client_abandon(a);
        acquire_soon(b, name, next, LONG_MS); /* long before the ttl */
        expect(b, ask_release(name, next), PAWL_RELEASED);
    }
    client_close(b);
}

static void closing_a_holder_frees_at_once_where_promised(void **state)
{
    stage *s = *state;
    client *a = join(s, "a");
    client *b = join(s, "b");
    const char *name = lock_name(s, "x"), *token = fresh_token();
    bool promised = client_caps(a)->instant_release || s->kind->in_session;
    uint64_t fence = expect(a, ask_acquire(name, token, LONG_MS), PAWL_GRANTED)->reply.fence;
    client_close(a);
    if (promised) {
        assert_true(acquire_soon(b, name, fresh_token(), LONG_MS)->reply.fence > fence);
    } else { /* then the lease lives, and belongs to whoever has the token */
        expect(b, ask_acquire(name, fresh_token(), LONG_MS), PAWL_BUSY);
        assert_int_equal(expect(b, ask_renew(name, token, LONG_MS), PAWL_CONFIRMED)->reply.fence,
                         fence);
    }
    client_close(b);
}

static void a_detached_lease_outlives_its_client(void **state)
{
    stage *s = *state;
    client *a = join(s, "a");
    client *b = join(s, "b");
    const char *name = lock_name(s, "x"), *token = fresh_token();
    pawl_request request = ask_acquire(name, token, LONG_MS);
    request.flags = PAWL_ASK_DETACHED;
    uint64_t fence = expect(a, request, PAWL_GRANTED)->reply.fence;
    client_close(a);
    expect(b, ask_acquire(name, fresh_token(), LONG_MS), PAWL_BUSY);
    assert_int_equal(expect(b, ask_renew(name, token, LONG_MS), PAWL_CONFIRMED)->reply.fence,
                     fence);
    expect(b, ask_release(name, token), PAWL_RELEASED);
    client_close(b);
}

/* ---- fork ------------------------------------------------------------------------- */

static void a_forked_child_forgets_and_the_parent_goes_on(void **state)
{
    stage *s = *state;
    client *a = join(s, "a");
    client *b = join(s, "b");
    const char *name = lock_name(s, "x"), *token = fresh_token(), *waiter = fresh_token();
    expect(a, ask_acquire(name, token, LONG_MS), PAWL_GRANTED);
    expect(b, ask_queue(name, waiter, LONG_MS), PAWL_QUEUED);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        s->address.ops->forget(client_store(a));
        s->address.ops->forget(client_store(b));
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    expect(a, ask_renew(name, token, LONG_MS), PAWL_CONFIRMED); /* its end freed nothing */
    expect(a, ask_release(name, token), PAWL_RELEASED);
    (void)await_turn(b, name, waiter);
    client_close(a);
    client_close(b);
}

static void a_forked_child_opens_a_client_of_its_own(void **state)
{
    stage *s = *state;
    client *a = join(s, "a");
    const char *name = lock_name(s, "x"), *other = lock_name(s, "y");
    expect(a, ask_acquire(name, fresh_token(), LONG_MS), PAWL_GRANTED);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        s->address.ops->forget(client_store(a));
        client *own = client_up(test_loop_new(), &s->address, "child");
        pawl_request request = ask_acquire(other, fresh_token(), LONG_MS);
        _exit(client_ask(own, &request)->reply.outcome == PAWL_GRANTED ? 0 : 1);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    client_close(a);
}

/* ---- Threads ---------------------------------------------------------------------- */

enum { THREADS = 4, TURNS = 25 };

typedef struct shared {
    stage *stage;
    const char *name;
    atomic_int inside; /* who is in the critical section; must be 0 or 1 */
    atomic_int count;  /* read and written back, not added to: a lost update would show */
    atomic_ullong fence;
} shared;

static uint64_t acquire_by_waiting(client *c, shared *sh, const char *token)
{
    pawl_request request = ask_queue(sh->name, token, LONG_MS);
    const seen_reply *r = client_ask(c, &request);
    if (r->reply.outcome == PAWL_GRANTED) return r->reply.fence;
    CHECK(r->reply.outcome == PAWL_QUEUED);
    return await_turn(c, sh->name, token);
}

static void use_resource(shared *sh, uint64_t fence)
{
    CHECK(atomic_exchange(&sh->inside, 1) == 0);       /* law 1 */
    CHECK(atomic_exchange(&sh->fence, fence) < fence); /* law 3 */
    int count = atomic_load(&sh->count);
    sched_yield();
    atomic_store(&sh->count, count + 1);
    CHECK(atomic_exchange(&sh->inside, 0) == 1);
}

static void *take_turns(void *arg)
{
    shared *sh = arg;
    test_loop *loop = test_loop_new();
    client *c = client_up(loop, &sh->stage->address, "thread");
    for (int i = 0; i < TURNS; i++) {
        const char *token = fresh_token();
        use_resource(sh, acquire_by_waiting(c, sh, token));
        pawl_request release = ask_release(sh->name, token);
        CHECK(client_ask(c, &release)->reply.outcome == PAWL_RELEASED);
    }
    client_close(c);
    test_loop_free(loop);
    return NULL;
}

static void clients_on_threads_exclude_each_other(void **state)
{
    stage *s = *state;
    shared sh = {.stage = s, .name = lock_name(s, "x")};
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, take_turns, &sh) == 0);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&sh.count), THREADS * TURNS);
}

/* ---- A store that is away, or mute ------------------------------------------------ */

static void a_lost_link_is_said_and_comes_back(void **state)
{
    stage *s = *state;
    client *a = join(s, "a");
    const char *name = lock_name(s, "x"), *token = fresh_token();
    expect(a, ask_acquire(name, token, LONG_MS), PAWL_GRANTED);
    s->kind->kill(s);
    client_await_link(a, false);
    assert_true(client_link(a, 1)->err < 0);
    for (int i = 0; i < 10; i++) { /* definitely not done, and said at once */
        const seen_reply *r = expect(a, ask_renew(name, token, LONG_MS), PAWL_FAILED);
        assert_int_equal(pawl_err_class_of(r->reply.err), PAWL_CLASS_RETRY);
        assert_true(r->answered_at - r->sent_at < SOON_NS);
    }
    s->kind->restart(s);
    client_await_link(a, true);
    acquire_soon(a, lock_name(s, "y"), fresh_token(), LONG_MS);
    client_close(a);
}

static void requests_in_flight_when_the_link_dies_are_unknown_or_failed(void **state)
{
    stage *s = *state;
    client *a = join(s, "a");
    enum { BURST = 50 };
    uint64_t ids[BURST];
    s->kind->freeze(s); /* so that they are in flight for certain */
    for (int i = 0; i < BURST; i++) {
        pawl_request request = ask_acquire(lock_name(s, "x"), fresh_token(), LONG_MS);
        ids[i] = client_submit(a, &request);
    }
    client_flush(a);
    s->kind->kill(s);
    client_await_link(a, false); /* the host checks that all are answered by then */
    for (int i = 0; i < BURST; i++) {
        pawl_outcome outcome = client_answer(a, ids[i])->reply.outcome;
        assert_true(outcome == PAWL_UNKNOWN || outcome == PAWL_FAILED);
    }
    s->kind->restart(s);
    client_await_link(a, true);
    client_close(a);
}

static void a_store_that_is_down_at_open_is_awaited(void **state)
{
    stage *s = *state;
    s->kind->kill(s);
    client *a = client_open(s->loop, &s->address, "a");
    pawl_request request = ask_acquire(lock_name(s, "x"), fresh_token(), LONG_MS);
    uint64_t id = client_submit(a, &request);
    client_flush(a);
    const seen_reply *r = client_await(a, id);
    assert_int_equal(r->reply.outcome, PAWL_FAILED);
    s->kind->restart(s);
    client_await_link(a, true);
    acquire_soon(a, lock_name(s, "x"), fresh_token(), LONG_MS);
    client_close(a);
}

static void a_mute_store_is_answered_for_in_time(void **state)
{
    stage *s = *state;
    client *a = join(s, "a");
    const char *name = lock_name(s, "x"), *token = fresh_token();
    expect(a, ask_acquire(name, token, LONG_MS), PAWL_GRANTED);
    s->kind->freeze(s);
    pawl_request request = ask_renew(name, token, LONG_MS);
    request.answer_by = host_now() + 300 * INT64_C(1000000);
    uint64_t id = client_submit(a, &request);
    client_flush(a);
    pawl_outcome outcome = client_await(a, id)->reply.outcome; /* the host checks the time */
    assert_true(outcome == PAWL_UNKNOWN || outcome == PAWL_FAILED);
    s->kind->thaw(s);
    for (int64_t start = host_now();;) { /* and it recovers by itself */
        request = ask_renew(name, token, LONG_MS);
        if (client_ask(a, &request)->reply.outcome == PAWL_CONFIRMED) break;
        assert_true(host_now() - start < SOON_NS);
        test_loop_for(s->loop, 10);
    }
    client_close(a);
}

/* ---- Addresses -------------------------------------------------------------------- */

static void a_wrong_address_is_refused_with_a_line(void **state)
{
    stage *s = *state;
    static char long_path[8192];
    char message[PAWL_MESSAGE_MAX];
    memset(long_path, 'p', sizeof(long_path) - 1);
    store_address wrong = s->address;
    wrong.path = long_path;
    int err = client_open_error(s->loop, &wrong, message);
    assert_true(err < 0);
    assert_true(message[0] && !strchr(message, '\n'));
}

const struct CMUnitTest trouble_cases[] = {
    CASE(a_burst_is_answered_once_each),
    CASE(each_answer_comes_once_and_in_time),
    CASE(a_flush_without_requests_is_nothing),
    CASE(the_link_comes_up_once),
    CASE(closing_before_the_link_is_up_is_quiet),
    CASE(closing_with_requests_outstanding_is_quiet),
    CASE(what_was_flushed_before_closing_is_done),
    CASE(closing_a_holder_frees_at_once_where_promised),
    CASE(a_detached_lease_outlives_its_client),
    CASE(a_forked_child_forgets_and_the_parent_goes_on),
    CASE(a_forked_child_opens_a_client_of_its_own),
    CASE(clients_on_threads_exclude_each_other),
    CASE(a_wrong_address_is_refused_with_a_line),
};
const size_t trouble_case_count = sizeof(trouble_cases) / sizeof(trouble_cases[0]);

/* For stores whose server may die. */
const struct CMUnitTest link_cases[] = {
    CASE(a_lost_link_is_said_and_comes_back),
    CASE(requests_in_flight_when_the_link_dies_are_unknown_or_failed),
    CASE(a_store_that_is_down_at_open_is_awaited),
};
const size_t link_case_count = sizeof(link_cases) / sizeof(link_cases[0]);

/* For stores that may fall mute. */
const struct CMUnitTest mute_cases[] = {
    CASE(a_mute_store_is_answered_for_in_time),
};
const size_t mute_case_count = sizeof(mute_cases) / sizeof(mute_cases[0]);
