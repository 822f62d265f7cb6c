/* SPDX-License-Identifier: MIT */
/*
 * Programs on the gate (src/runtime/gate.h) with a store of a few lines: what was asked is sent by
 * `work`, and answered in the next rest. Callers may also wait for each other (a baton).
 */
#include "floors.h"

#include "base/instant.h"
#include "runtime/clock.h"
#include "runtime/gate.h"

#include <poll.h>
#include <stdatomic.h>
#include <unistd.h>

#define CALLERS 2
#define SOON_NS (5 * PAWL__NS_PER_MS)

static pawl__gate gate;
static _Atomic int owners; /* threads in work or rest */
static _Atomic int answered;
static bool renews;                  /* [once] there are leases */
static pawl__waiter *asked[CALLERS]; /* [m] not sent yet */
static pawl__waiter *sent[CALLERS];  /* [loop] */
static int released, rounds;         /* [m] asynchronous requests; turns of work */

/* The thread of the callbacks: it begins an operation in a callback, and runs another at its end.
 */
static struct {
    pthread_t thread;
    pthread_cond_t added;
    bool inside;   /* [m] a callback runs */
    int asked;     /* [m] operations that are not sent yet */
    int under_way; /* [loop] */
    int to_run;    /* [m] callbacks */
    bool silent;   /* [once] the store answers nothing */
} calls;

/* ---- What the owner does -------------------------------------------------------------------- */

static void enter(void)
{
    floor_expect(atomic_fetch_add(&owners, 1) == 0, "two threads own the loop");
}

static void leave(void)
{
    atomic_fetch_sub(&owners, 1);
}

static bool any(pawl__waiter *const list[CALLERS])
{
    for (int i = 0; i < CALLERS; i++)
        if (list[i]) return true;
    return false;
}

static bool is_asked(void)
{
    return any(asked) || released || calls.asked;
}

static void send_all(void)
{
    calls.under_way += calls.asked;
    calls.asked = 0;
    for (int i = 0; i < CALLERS; i++) {
        if (!asked[i]) continue;
        sent[i] = asked[i];
        asked[i] = NULL;
        pawl__gate_sent(&gate);
    }
    gate.async_pending -= (uint32_t)released;
    released = 0;
}

static void work(void *ctx)
{
    (void)ctx;
    enter();
    rounds++;
    do {
        send_all();
        pthread_mutex_unlock(&gate.mutex);
        pawl__gate_rouse(&gate);
        pthread_mutex_lock(&gate.mutex);
    } while (is_asked());
    leave();
}

/* Something is there to be run. Mutex held. */
static void call(void)
{
    if (calls.to_run++) return;
    pthread_cond_signal(&calls.added);
    pawl__gate_call(&gate);
}

static void answer_calls(void)
{
    for (; calls.under_way > 0; calls.under_way--) {
        pawl__gate_async_ended(&gate);
        call();
    }
}

static void answer(void)
{
    pthread_mutex_lock(&gate.mutex);
    gate.serving = true;
    if (!calls.silent) answer_calls();
    for (int i = 0; i < CALLERS; i++) {
        if (!sent[i]) continue;
        pawl__gate_answered(&gate);
        pawl__gate_complete(&gate, sent[i], 7 + i);
        sent[i] = NULL;
        atomic_fetch_add(&answered, 1);
    }
    gate.serving = false;
    pthread_mutex_unlock(&gate.mutex);
}

static void sleep_in_loop(int64_t until)
{
    struct pollfd wake = {.fd = gate.wake_fd, .events = POLLIN};
    int64_t ms = until == PAWL__NEVER ? -1 : (until - pawl__now()) / PAWL__NS_PER_MS + 1;
    uint64_t count;
    if (until != PAWL__NEVER && ms < 0) ms = 0;
    if (poll(&wake, 1, (int)ms) > 0 && read(gate.wake_fd, &count, sizeof count) < 0)
        floor_expect(false, "the descriptor was not readable");
}

static void rest(void *ctx, int64_t until, pawl__rest how)
{
    (void)ctx;
    enter();
    bool news = any(sent) || (calls.under_way && !calls.silent);
    pthread_mutex_unlock(&gate.mutex);
    if (news)
        answer();
    else if (how == PAWL__REST_SLEEP)
        sleep_in_loop(until);
    leave();
    pthread_mutex_lock(&gate.mutex);
}

static int64_t due(const void *ctx)
{
    (void)ctx;
    return PAWL__NEVER;
}

static bool awaited(const void *ctx, unsigned kinds)
{
    (void)ctx;
    if (kinds & PAWL__AWAITS_TURN && is_asked()) return true;
    if (kinds & (PAWL__AWAITS_STORE | PAWL__AWAITS_REST) && any(sent)) return true;
    return kinds & PAWL__AWAITS_RENEWAL && renews;
}

static void overdue(void *ctx)
{
    (void)ctx;
}

static bool comes_back(const void *ctx)
{
    (void)ctx;
    return calls.inside && pthread_equal(calls.thread, pthread_self());
}

static const pawl__gate_ops ops = {.work = work,
                                   .rest = rest,
                                   .due = due,
                                   .awaited = awaited,
                                   .overdue = overdue,
                                   .comes_back = comes_back};

/* ---- Threads -------------------------------------------------------------------------------- */

static void begin(bool with_thread, bool with_leases)
{
    pawl__now_start();
    renews = with_leases;
    atomic_store(&answered, 0);
    released = rounds = 0;
    pawl__gate_init(&gate, &ops, NULL);
    gate.spin.allowed = false;
    floor_expect(pawl__gate_open(&gate) == 0, "no descriptor");
    if (with_thread) floor_expect(pawl__gate_start_thread(&gate) == 0, "no thread");
}

static void end(int answers)
{
    pthread_mutex_lock(&gate.mutex);
    floor_expect(pawl__gate_take(&gate, PAWL__NEVER), "the loop was not free at the end");
    floor_expect(pawl__list_empty(&gate.waiters), "a waiter is left");
    pawl__gate_run_to_rest(&gate, PAWL__NEVER);
    pawl__gate_stop(&gate);
    pthread_mutex_unlock(&gate.mutex);
    pawl__gate_join_thread(&gate);
    floor_expect(atomic_load(&answered) == answers, "an answer is missing");
    pawl__gate_close(&gate);
    pawl__gate_destroy(&gate);
}

/* Asks the store, and waits for its answer. */
static void *ask(void *arg)
{
    int me = arg != NULL;
    pawl__waiter waiter;
    pawl__waiter_init(&waiter);
    pthread_mutex_lock(&gate.mutex);
    asked[me] = &waiter;
    pawl__gate_wait(&gate, &waiter, PAWL__NEVER);
    floor_expect(waiter.complete && waiter.err == 7 + me, "it has another's answer");
    return arg;
}

static void beside(void *(*other)(void *), void *(*mine)(void *))
{
    pthread_t thread;
    pthread_create(&thread, NULL, other, &gate);
    mine(NULL);
    pthread_join(thread, NULL);
}

void floor_gate_two_callers(void)
{
    begin(false, false);
    beside(ask, ask);
    end(2);
}

/* Callers do not sleep in the loop: the client's thread has it. */
void floor_gate_two_callers_with_leases(void)
{
    begin(true, true);
    beside(ask, ask);
    end(2);
}

void floor_gate_a_caller_that_spins(void)
{
    begin(true, true);
    gate.spin.allowed = true;
    ask(NULL);
    end(1);
}

static void *take_and_give(void *arg)
{
    pthread_mutex_lock(&gate.mutex);
    floor_expect(pawl__gate_take(&gate, PAWL__NEVER), "the loop did not come");
    int seen = rounds;
    pthread_mutex_unlock(&gate.mutex);
    pthread_mutex_lock(&gate.mutex);
    floor_expect(rounds == seen, "somebody worked in a loop that was taken");
    pawl__gate_give(&gate);
    pthread_mutex_unlock(&gate.mutex);
    return arg;
}

void floor_gate_taken_beside_a_caller(void)
{
    begin(false, false);
    beside(take_and_give, ask);
    end(1);
}

void floor_gate_taken_beside_the_thread(void)
{
    begin(true, true);
    beside(take_and_give, ask);
    end(1);
}

/* A thread that wants the loop until an instant gives up at that instant. */
static void *take_in_time(void *arg)
{
    int64_t until = pawl__now() + SOON_NS;
    pthread_mutex_lock(&gate.mutex);
    floor_expect(!pawl__gate_take(&gate, until), "two have taken the loop");
    pthread_mutex_unlock(&gate.mutex);
    int64_t now = pawl__now();
    floor_expect(now >= until && now < until + SOON_NS, "it did not wait as long as it should");
    return arg;
}

void floor_gate_taken_in_time(void)
{
    pthread_t thread;
    begin(false, false);
    pthread_mutex_lock(&gate.mutex);
    floor_expect(pawl__gate_take(&gate, PAWL__NEVER), "the loop did not come");
    pthread_mutex_unlock(&gate.mutex);
    pthread_create(&thread, NULL, take_in_time, &gate);
    pthread_join(thread, NULL);
    pthread_mutex_lock(&gate.mutex);
    pawl__gate_give(&gate);
    pthread_mutex_unlock(&gate.mutex);
    end(0);
}

static void *freeze_and_thaw(void *arg)
{
    pawl__gate_freeze(&gate, PAWL__NEVER);
    floor_expect(gate.quiet_at_fork && gate.owned, "a freeze without the loop");
    pawl__gate_thaw(&gate);
    return arg;
}

void floor_gate_frozen_beside_a_caller(void)
{
    begin(false, false);
    beside(freeze_and_thaw, ask);
    end(1);
}

/* ---- Callers that wait for each other ------------------------------------------------------- */

static pawl__waiter *next_holder; /* [m] */
static bool passed;               /* [m] */

static void *wait_for_baton(void *arg)
{
    pawl__waiter waiter;
    pawl__waiter_init(&waiter);
    pthread_mutex_lock(&gate.mutex);
    if (passed) {
        pthread_mutex_unlock(&gate.mutex);
        return arg;
    }
    next_holder = &waiter;
    pawl__gate_wait(&gate, &waiter, PAWL__NEVER);
    floor_expect(waiter.complete && waiter.err == 0, "the baton did not come");
    return arg;
}

static void *pass_baton(void *arg)
{
    pthread_mutex_lock(&gate.mutex);
    passed = true;
    if (next_holder) pawl__gate_complete(&gate, next_holder, 0);
    pawl__gate_flush_release(&gate);
    pthread_mutex_unlock(&gate.mutex);
    return arg;
}

void floor_gate_a_release_wakes_a_caller(void)
{
    next_holder = NULL;
    passed = false;
    begin(true, false);
    beside(wait_for_baton, pass_baton);
    end(0);
}

/* It is completed as its time is over: either is told, and nothing of it is touched later. */
static void *wait_shortly(void *arg)
{
    pawl__waiter waiter;
    pawl__waiter_init(&waiter);
    pthread_mutex_lock(&gate.mutex);
    next_holder = &waiter;
    pawl__gate_wait(&gate, &waiter, pawl__now() + SOON_NS);
    pthread_mutex_lock(&gate.mutex);
    next_holder = NULL;
    pthread_mutex_unlock(&gate.mutex);
    return arg;
}

void floor_gate_a_wait_that_ends_in_time(void)
{
    next_holder = NULL;
    passed = false;
    begin(false, false);
    beside(wait_shortly, pass_baton);
    end(0);
}

/* ---- What nobody waits for ------------------------------------------------------------------ */

static void *start_async(void *arg)
{
    pthread_mutex_lock(&gate.mutex);
    released++;
    gate.async_pending++;
    pawl__gate_flush_now(&gate);
    pthread_mutex_unlock(&gate.mutex);
    return arg;
}

void floor_gate_flushes_beside_a_caller(void)
{
    begin(false, false);
    beside(start_async, ask);
    floor_expect(released == 0, "what was asked has not left");
    end(1);
}

void floor_gate_flushes_beside_the_thread(void)
{
    begin(true, true);
    beside(start_async, start_async);
    pthread_mutex_lock(&gate.mutex);
    pawl__gate_take(&gate, PAWL__NEVER);
    floor_expect(released == 0 && gate.async_pending == 0, "what was asked has not left");
    pawl__gate_give(&gate);
    pthread_mutex_unlock(&gate.mutex);
    end(0);
}

/* ---- The thread of the callbacks ------------------------------------------------------------ */

/* A callback that begins an operation, with the mutex as in a call of the library. */
static void run_callback(void)
{
    calls.inside = true;
    calls.asked++;
    gate.async_pending++;
    pawl__gate_flush_now(&gate);
    pthread_mutex_unlock(&gate.mutex);
    pthread_mutex_lock(&gate.mutex);
    calls.inside = false;
}

static void *run_callbacks(void *arg)
{
    pthread_mutex_lock(&gate.mutex);
    calls.thread = pthread_self();
    run_callback();
    while (!calls.to_run) {
        if (pawl__gate_own_for_calls(&gate)) continue;
        pthread_cond_wait(&calls.added, &gate.mutex);
    }
    pthread_mutex_unlock(&gate.mutex);
    return arg;
}

static void begin_calls(bool with_leases, bool silent)
{
    calls.inside = false;
    calls.asked = calls.under_way = calls.to_run = 0;
    calls.silent = silent;
    pthread_cond_init(&calls.added, NULL);
    begin(true, with_leases);
}

static void end_calls(int answers)
{
    end(answers);
    pthread_cond_destroy(&calls.added);
}

void floor_gate_calls_beside_a_caller(void)
{
    begin_calls(false, false);
    beside(run_callbacks, ask);
    end_calls(1);
}

void floor_gate_calls_beside_a_taker(void)
{
    begin_calls(false, false);
    beside(run_callbacks, take_and_give);
    end_calls(0);
}

/* What another thread queues is run, although the store says nothing. */
static void *call_from_elsewhere(void *arg)
{
    pthread_mutex_lock(&gate.mutex);
    call();
    pthread_mutex_unlock(&gate.mutex);
    return arg;
}

void floor_gate_calls_from_elsewhere(void)
{
    begin_calls(false, true);
    beside(run_callbacks, call_from_elsewhere);
    end_calls(0);
}
