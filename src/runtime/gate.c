/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "gate.h"

#include "clock.h"
#include "gate_inside.h"
#include "pawl/types.h"

#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* ---- Made and freed ------------------------------------------------------------------------- */

void pawl__gate_init(pawl__gate *gate, const pawl__gate_ops *ops, void *ctx)
{
    *gate = (pawl__gate){.ops = ops, .ctx = ctx, .process = pawl__process_mark(), .wake_fd = -1};
    pthread_mutex_init(&gate->mutex, NULL);
    pthread_cond_init(&gate->owner_cond, NULL);
    pthread_cond_init(&gate->thread_cond, NULL);
    pawl__list_init(&gate->waiters);
    pawl__list_init(&gate->served);
    pawl__spin_init(&gate->spin);
}

int pawl__gate_open(pawl__gate *gate)
{
    gate->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return gate->wake_fd < 0 ? PAWL_ERR_SYSTEM : PAWL_OK;
}

void pawl__gate_close(pawl__gate *gate)
{
    if (gate->wake_fd >= 0) close(gate->wake_fd);
    gate->wake_fd = -1;
}

void pawl__gate_destroy(pawl__gate *gate)
{
    pthread_cond_destroy(&gate->owner_cond);
    pthread_cond_destroy(&gate->thread_cond);
    pthread_mutex_destroy(&gate->mutex);
}

void pawl__gate_stop(pawl__gate *gate)
{
    gate->stop = true;
    pthread_cond_broadcast(&gate->thread_cond);
    pthread_cond_broadcast(&gate->owner_cond);
}

void pawl__gate_join_thread(pawl__gate *gate)
{
    if (gate->has_thread) pthread_join(gate->thread, NULL);
}

/* ---- Time ----------------------------------------------------------------------------------- */

bool pawl__gate_has_come(int64_t until)
{
    return until != PAWL__NEVER && until <= pawl__now();
}

void pawl__gate_wait_until(pawl__gate *gate, pthread_cond_t *cond, int64_t until)
{
    if (until == PAWL__NEVER) {
        pthread_cond_wait(cond, &gate->mutex);
        return;
    }
    struct timespec end = pawl__wait_end(until);
    pthread_cond_clockwait(cond, &gate->mutex, CLOCK_MONOTONIC, &end);
}

/* The mutex is held only for short times, unless a signal handler has interrupted this thread while
 * it held it. */
bool pawl__gate_lock_in_time(pawl__gate *gate, int64_t until)
{
    while (pthread_mutex_trylock(&gate->mutex) != 0) {
        if (pawl__gate_has_come(until)) return false;
        sched_yield();
    }
    return true;
}

/* ---- Waking --------------------------------------------------------------------------------- */

static pawl__waiter *waiter_of(pawl__link *link)
{
    return pawl__container(link, pawl__waiter, in_waiters);
}

void pawl__gate_wake_owner(pawl__gate *gate)
{
    if (!gate->asleep) return;
    gate->asleep = false; /* one write is enough */
    uint64_t one = 1;
    ssize_t n = write(gate->wake_fd, &one, sizeof one);
    (void)n; /* the counter cannot be full: the owner reads it each time it wakes */
}

void pawl__gate_wake_thread(pawl__gate *gate)
{
    if (gate->thread_looks_at == 0) return;
    gate->thread_looks_at = 0; /* one signal is enough */
    pthread_cond_signal(&gate->thread_cond);
}

void pawl__gate_complete(pawl__gate *gate, pawl__waiter *waiter, int err)
{
    waiter->complete = true;
    waiter->err = err;
    gate->has_served = true;
    if (!pawl__link_linked(&waiter->in_waiters)) return; /* it is awake, or will be soon */
    pawl__list_remove(&waiter->in_waiters);
    waiter->called = true;
    if (gate->serving)
        pawl__list_append(&gate->served, &waiter->in_waiters);
    else
        pawl__waiter_post(waiter);
}

/*
 * Callers are woken after the turn: earlier they would block on the mutex. After each event for the
 * engine comes `work`, which wakes them before it checks for more requests.
 */
void pawl__gate_rouse(pawl__gate *gate)
{
    for (pawl__link *first; (first = pawl__list_first(&gate->served));) {
        pawl__list_remove(first);
        pawl__waiter_post(waiter_of(first));
    }
}

static void call_to_own(pawl__gate *gate)
{
    pawl__waiter *waiter = waiter_of(pawl__list_first(&gate->waiters));
    pawl__list_remove(&waiter->in_waiters);
    waiter->called = true;
    waiter->to_own = true;
    pawl__waiter_post(waiter);
}

/* ---- Who owns the loop ---------------------------------------------------------------------- */

static bool is_awaited(const pawl__gate *gate, unsigned kinds)
{
    return gate->ops->awaited(gate->ctx, kinds);
}

bool pawl__gate_may_own(const pawl__gate *gate)
{
    return !gate->owned && gate->owner_wanted == 0;
}

/* Whether the client's thread must be woken, because it would look too late by itself. The loop is
 * free. */
static bool needs_thread(const pawl__gate *gate)
{
    if (gate->thread_looks_at == 0) return false; /* it is awake, and looks before it sleeps */
    bool comes_back = gate->async_pending == 1 && gate->ops->comes_back(gate->ctx);
    if (gate->async_pending > 0 && !comes_back) return true;
    if (is_awaited(gate, PAWL__AWAITS_TURN)) return true;
    int64_t by = gate->ops->due(gate->ctx);
    if (gate->hears_at_once) by = pawl__instant_min(by, pawl__now() + PAWL__LOOK_FIRST_NS);
    return by < gate->thread_looks_at;
}

/* What is due comes before the client's thread looks by itself. */
static bool is_due_unseen(const pawl__gate *gate)
{
    return gate->thread_looks_at != 0 && gate->ops->due(gate->ctx) < gate->thread_looks_at;
}

/* Whether a waiting caller should own the loop. The loop is free. */
static bool needs_caller(const pawl__gate *gate)
{
    if (!gate->has_thread) return true; /* nobody else would own it */
    return is_awaited(gate, PAWL__AWAITS_TURN | PAWL__AWAITS_STORE);
}

void pawl__gate_pass_on(pawl__gate *gate)
{
    gate->owned = false;
    if (gate->thread_looks_at == PAWL__NEVER) pawl__gate_wake_thread(gate); /* it relied on us */
    if (gate->owner_wanted > 0) {
        pthread_cond_broadcast(&gate->owner_cond);
        return;
    }
    bool calls = !gate->handed_over && !pawl__list_empty(&gate->waiters) && needs_caller(gate);
    /* A caller may be stopped before it takes the loop: renewals do not wait for it. */
    if (gate->handed_over || (calls ? is_due_unseen(gate) : needs_thread(gate)))
        pawl__gate_wake_thread(gate);
    if (calls) call_to_own(gate);
}

void pawl__gate_work_at_once(pawl__gate *gate)
{
    gate->release_alone = false;
    gate->ops->work(gate->ctx);
}

void pawl__gate_rest(pawl__gate *gate, int64_t until, pawl__rest how)
{
    /* The mutex is held, and nothing is asked: a thread that asks from now on wakes us. */
    gate->asleep = how == PAWL__REST_SLEEP;
    gate->ops->rest(gate->ctx, until, how);
    gate->asleep = false;
}

/*
 * While this client holds leases a caller does not sleep in the loop: a signal handler, a pause
 * or a low priority could stop it there, and renewals would wait for it. So it leaves the loop to
 * the client's thread, if there is one. Without leases a stopped caller does no harm.
 */
static bool must_be_reliable(const pawl__gate *gate)
{
    return gate->has_thread && is_awaited(gate, PAWL__AWAITS_RENEWAL);
}

static bool works_for_callers(const pawl__gate *gate)
{
    return must_be_reliable(gate) && !pawl__list_empty(&gate->waiters) && needs_caller(gate);
}

static bool has_owned_enough(const pawl__gate *gate, const pawl__waiter *mine, int64_t until)
{
    if (gate->owner_wanted > 0) return true;
    if (mine && mine->is_ours) return mine->complete || gate->async_pending == 0;
    if (mine) return mine->complete || pawl__gate_has_come(until) || !needs_caller(gate);
    if (gate->stop) return true;
    /* Callers own the loop themselves. */
    return gate->has_served && gate->async_pending == 0 && !works_for_callers(gate);
}

static bool may_spin(pawl__gate *gate, const pawl__waiter *mine)
{
    bool for_somebody = mine || gate->async_pending > 0 || works_for_callers(gate);
    return for_somebody && pawl__spin_again(&gate->spin);
}

void pawl__gate_own(pawl__gate *gate, const pawl__waiter *mine, int64_t until)
{
    gate->owned = true;
    gate->handed_over = false;
    if (mine || gate->async_pending == 0) gate->has_served = false;
    pawl__spin_begin(&gate->spin);
    for (;;) {
        gate->ops->work(gate->ctx);
        if (has_owned_enough(gate, mine, until)) break;
        bool spins = may_spin(gate, mine);
        if (!spins && gate->release_alone) {
            gate->release_alone = false; /* send what was held back first */
            continue;
        }
        if (!spins && mine && mine->only_looks) break;
        gate->handed_over = mine && !mine->is_ours && !spins && must_be_reliable(gate);
        if (gate->handed_over) break;
        pawl__gate_rest(gate, until, spins ? PAWL__REST_SPIN : PAWL__REST_SLEEP);
    }
    if (gate->release_alone) pawl__gate_work_at_once(gate);
    pawl__gate_pass_on(gate);
}

/* ---- Waiting -------------------------------------------------------------------------------- */

/* The mutex is held before, but not after. */
static void sleep_outside(pawl__gate *gate, pawl__waiter *waiter, int64_t until)
{
    pawl__waiter_begin(waiter);
    pawl__list_append(&gate->waiters, &waiter->in_waiters);
    pthread_mutex_unlock(&gate->mutex);
    pawl__waiter_sleep(waiter, until);
}

/* Mutex held: not woken in time, it leaves the list; it waits for a post that is coming. */
static void withdraw(pawl__gate *gate, pawl__waiter *waiter)
{
    if (waiter->heard) return;
    if (!waiter->called) {
        pawl__list_remove(&waiter->in_waiters);
        return;
    }
    pthread_mutex_unlock(&gate->mutex);
    pawl__waiter_sleep(waiter, PAWL__NEVER);
    pthread_mutex_lock(&gate->mutex);
}

void pawl__gate_wait(pawl__gate *gate, pawl__waiter *waiter, int64_t until)
{
    while (!waiter->complete && !pawl__gate_has_come(until)) {
        if (pawl__gate_may_own(gate) && needs_caller(gate) && !gate->handed_over) {
            gate->takes++;
            waiter->to_own = false;
            pawl__gate_own(gate, waiter, until);
            continue;
        }
        pawl__gate_wake_owner(gate);
        sleep_outside(gate, waiter, until);
        if (waiter->heard && !waiter->to_own) return; /* it is complete */
        pthread_mutex_lock(&gate->mutex);
        withdraw(gate, waiter);
    }
    if (waiter->to_own && !gate->owned) pawl__gate_pass_on(gate); /* we were woken to own it */
    pthread_mutex_unlock(&gate->mutex);
}

bool pawl__gate_is_free(pawl__gate *gate)
{
    if (pawl__gate_may_own(gate) && !gate->handed_over) return true;
    gate->has_served = true;
    return false;
}

void pawl__gate_look(pawl__gate *gate, pawl__waiter *waiter)
{
    if (!pawl__gate_is_free(gate)) return;
    gate->takes++;
    waiter->only_looks = true;
    pawl__gate_own(gate, waiter, pawl__now() + PAWL__SPIN_NS);
    gate->has_served = true; /* whoever goes on with it gives up the loop then */
}

/* ---- Before all others: close, exit and fork ------------------------------------------------- */

static void take(pawl__gate *gate)
{
    gate->owned = true;
    gate->release_alone = false;
}

bool pawl__gate_take(pawl__gate *gate, int64_t until)
{
    gate->owner_wanted++;
    while (gate->owned && !pawl__gate_has_come(until)) {
        pawl__gate_wake_owner(gate);
        pawl__gate_wait_until(gate, &gate->owner_cond, until);
    }
    gate->owner_wanted--;
    if (gate->owned) return false;
    take(gate);
    return true;
}

void pawl__gate_give(pawl__gate *gate)
{
    /* Threads that asked meanwhile could not own the loop, and relied on us. */
    if (is_awaited(gate, PAWL__AWAITS_TURN)) pawl__gate_work_at_once(gate);
    pawl__gate_pass_on(gate);
}

/* After all others that want it: else fork and exit would never get the loop from a thread that
 * takes it again and again. */
bool pawl__gate_take_unless_closing(pawl__gate *gate)
{
    gate->owner_wanted++;
    while ((gate->owned || gate->owner_wanted > 1) && !gate->closing) {
        pawl__gate_wake_owner(gate);
        pawl__gate_wait_until(gate, &gate->owner_cond, PAWL__NEVER);
    }
    gate->owner_wanted--;
    if (gate->closing) return false;
    take(gate);
    return true;
}

void pawl__gate_run_for(pawl__gate *gate, const pawl__waiter *waiter, int64_t until)
{
    gate->ops->work(gate->ctx);
    do {
        if (waiter->complete || gate->owner_wanted > 0) return;
        pawl__gate_rest(gate, until, PAWL__REST_SLEEP);
        gate->ops->work(gate->ctx);
    } while (!pawl__gate_has_come(until));
}

void pawl__gate_run_to_rest(pawl__gate *gate, int64_t until)
{
    for (;;) {
        gate->ops->work(gate->ctx);
        if (!is_awaited(gate, PAWL__AWAITS_REST) || pawl__gate_has_come(until)) return;
        pawl__gate_rest(gate, until, PAWL__REST_SLEEP);
    }
}

/* Waits for the answers: a request may need a second try, and closing a socket that has unread data
 * drops what was not sent yet. */
void pawl__gate_drain(pawl__gate *gate, int64_t until)
{
    int64_t by = pawl__instant_min(until, pawl__instant_add(pawl__now(), PAWL__EXIT_ANSWER_NS));
    pawl__gate_work_at_once(gate);
    while (is_awaited(gate, PAWL__AWAITS_RELEASE) && !pawl__gate_has_come(by)) {
        pawl__gate_rest(gate, by, PAWL__REST_SLEEP);
        gate->ops->work(gate->ctx);
    }
}

/* ---- Answers -------------------------------------------------------------------------------- */

void pawl__gate_sent(pawl__gate *gate)
{
    gate->spin.under_way++;
}

void pawl__gate_answered(pawl__gate *gate)
{
    /* An answer may come after its request was given up. */
    if (gate->spin.under_way > 0) gate->spin.under_way--;
    gate->release_alone = false;
}

/* ---- Fork ----------------------------------------------------------------------------------- */

void pawl__gate_freeze(pawl__gate *gate, int64_t until)
{
    atomic_store(&gate->quiet_at_fork, false);
    if (pawl__gate_is_forked(gate)) return; /* a child of _Fork() that forks */
    if (!pawl__gate_lock_in_time(gate, until)) return;
    if (!pawl__gate_take(gate, until)) {
        pthread_mutex_unlock(&gate->mutex);
        return;
    }
    atomic_store(&gate->quiet_at_fork, true); /* loop and mutex are held until the thaw */
}

void pawl__gate_thaw(pawl__gate *gate)
{
    if (!pawl__gate_is_quiet(gate)) return;
    atomic_store(&gate->quiet_at_fork, false);
    pawl__gate_give(gate);
    pthread_mutex_unlock(&gate->mutex);
}
