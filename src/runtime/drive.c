/* SPDX-License-Identifier: MIT */
/*
 * Who drives.
 *
 * Engine, store and event loop belong to the thread that has the drive role.
 * A caller that must wait takes the role itself when it is free, and keeps it
 * until its own operation is complete: then nothing crosses threads. Where nobody waits for
 * the store, but callers for each other, none of them keeps it: who gives the lock back has
 * the role for that moment, and wakes the next one himself. The client's own thread
 * drives when no caller does: for renewals, pushes and asynchronous operations.
 *
 * Why no wake-up is lost:
 *  - Whoever asks for something does so under the mutex. If the driver is asleep
 *    in the event loop (`asleep`, set under the mutex after it has seen that
 *    nothing is asked), it is woken by wake_fd. If nobody drives, the asking
 *    thread drives.
 *  - Whoever gives up the role passes it on (pass_role): to those who want it
 *    before all others, else to one caller that waits if the store is waited for, else to
 *    the client's thread if that would look too late by itself.
 *  - A caller that was woken to drive and finds its operation complete or its time
 *    over passes the role on again.
 *  - A caller that would sleep in the loop while this client holds leases hands it over to the
 *    client's thread (handed_over) and sleeps beside it: nothing that keeps his thread keeps a
 *    renewal. The thread stays as long as callers wait for the store.
 *  - The client's thread either drives or sleeps until thread_looks_at. It takes the
 *    role back when no caller has driven for the length of one such sleep.
 *
 * Whom the engine serves is woken when the turn's work is done (pawl__sleepers_rouse): at once he
 * would only come to wait for the mutex, and be woken again. Each feeding of the engine is
 * followed by pawl__turn_work, which wakes before it looks whether more has been asked.
 *
 * Why the sleeps grow: a thread that woke for each acquisition of each client would cost a
 * contended fleet more than the locks themselves. While it sleeps nobody reads what the
 * store says; only these cannot wait for it, and pass_role wakes it for them: the engine's
 * next deadline (renewals), asynchronous operations, and pushes of which a caller wants to
 * hear at once (events, cached leases).
 *
 * A release that others wait for leaves alone (makes_way): a store that found our next request
 * behind it would see to that one, too, before it told the next holder. So whatever else
 * is to leave is held back until the release is answered, but only while the driver looks for that
 * answer anyway: it leaves before he sleeps, and before the role changes hands.
 *
 * A release may wait for the next request, to leave with it in one write
 * (pawl__drive_later): only of a lock for which neither this client nor, as far as is
 * known, anybody else has waited, only if the latest acquisition followed such a release
 * within DEFER_NS, so that the next one probably does too, and only while the client's
 * thread looks every DEFER_NS: it sends what has waited. Whatever else is asked takes it
 * along, and so do close and the normal end of the process, which takes the role from whoever
 * has it (pawl__drive_at_exit).
 */
#define _GNU_SOURCE
#include "runtime.h"

#include <sched.h>
#include <unistd.h>

/* How long the client's thread sleeps before it looks whether anybody drives. */
#define LOOK_FIRST_NS PAWL__NS_PER_MS
#define LOOK_MAX_NS   (256 * PAWL__NS_PER_MS)
#define DEFER_NS      (200 * PAWL__NS_PER_US)
#define EXIT_ANSWER_NS                                                                             \
    (250 * PAWL__NS_PER_MS) /* how long exit() waits for the word to a release                     \
                             */

/* ---- Waking --------------------------------------------------------------------------------- */

static void wake_driver(pawl_client *c)
{
    if (!c->asleep) return;
    c->asleep = false; /* one write is enough */
    uint64_t one = 1;
    ssize_t n = write(c->wake_fd, &one, sizeof one);
    (void)n; /* the counter cannot be full: it is read at each waking */
}

static void wake_thread(pawl_client *c)
{
    if (c->thread_looks_at == 0) return;
    c->thread_looks_at = 0; /* one signal is enough */
    pthread_cond_signal(&c->thread_cond);
}

/* Mutex held, the role is free: would the client's thread come too late by itself? */
static bool needs_thread(const pawl_client *c)
{
    if (c->thread_looks_at == 0) return false; /* it is awake, and looks before it sleeps */
    if (c->async_pending > 0) return true;
    if (!pawl__list_empty(&c->asked) || !pawl__list_empty(&c->queries)) return true;
    int64_t by = pawl__turn_due(c);
    if (c->hears_at_once) by = pawl__instant_min(by, pawl__now() + LOOK_FIRST_NS);
    return by < c->thread_looks_at;
}

/* Mutex held, the role is free: is there anything that a caller who waits should drive for? */
static bool needs_caller(const pawl_client *c)
{
    if (!c->thread_started || !c->engine) return true; /* nobody else will */
    if (!pawl__list_empty(&c->asked) || !pawl__list_empty(&c->queries)) return true;
    return c->spin.under_way > 0 || !pawl__list_empty(&c->waiting) ||
           pawl__engine_awaits_store(c->engine);
}

static void pass_role(pawl_client *c)
{
    if (c->role_wanted > 0) {
        pthread_cond_broadcast(&c->role_cond);
        return;
    }
    if (c->handed_over)
        wake_thread(c);
    else if (!pawl__list_empty(&c->sleepers) && needs_caller(c))
        pawl__sleeper_call(c);
    else if (needs_thread(c))
        wake_thread(c);
}

static void wait_ns(pawl_client *c, pthread_cond_t *cond, int64_t span_ns)
{
    if (span_ns == PAWL__NEVER) {
        pthread_cond_wait(cond, &c->mutex);
        return;
    }
    struct timespec end = pawl__wait_end(span_ns);
    pthread_cond_clockwait(cond, &c->mutex, CLOCK_MONOTONIC, &end);
}

static int64_t span_until(int64_t until)
{
    return until == PAWL__NEVER ? PAWL__NEVER : until - pawl__now();
}

static bool has_come(int64_t until)
{
    return until != PAWL__NEVER && until <= pawl__now();
}

/* It is held for short stretches only, unless by this very thread under a signal handler. */
static bool lock_in_time(pthread_mutex_t *mutex, int64_t until)
{
    while (pthread_mutex_trylock(mutex) != 0) {
        if (has_come(until)) return false;
        sched_yield();
    }
    return true;
}

/* ---- Driving -------------------------------------------------------------------------------- */

/* One turn that does not sleep: all that was asked leaves now. */
static void turn_at_once(pawl_client *c)
{
    c->makes_way = false;
    pawl__turn_work(c);
}

/*
 * While this client holds leases a caller does not sleep in the loop: a signal handler, a pause
 * or a low priority could keep him there, and renewals would wait for him. He leaves it to the
 * client's thread, where there is one. Without leases nothing is lost by that.
 */
static bool must_be_reliable(const pawl_client *c)
{
    return c->thread_started && c->engine && pawl__engine_tends(c->engine);
}

static bool works_for_callers(const pawl_client *c)
{
    return must_be_reliable(c) && !pawl__list_empty(&c->sleepers) && needs_caller(c);
}

/* mine: the caller that drives, NULL for the client's thread. */
static bool has_driven_enough(const pawl_client *c, const pawl__sleeper *mine, int64_t until)
{
    if (c->role_wanted > 0) return true;
    if (mine) return mine->complete || has_come(until) || !needs_caller(c);
    if (c->stop) return true;
    return c->served && c->async_pending == 0 && !works_for_callers(c); /* they drive themselves */
}

static bool is_awaited(const pawl_client *c, const pawl__sleeper *mine)
{
    return (mine || c->async_pending > 0 || works_for_callers(c)) && !c->broken;
}

static void drive(pawl_client *c, const pawl__sleeper *mine, int64_t until)
{
    c->driven = true;
    c->served = c->handed_over = false;
    pawl__spin_begin(&c->spin);
    for (;;) {
        pawl__turn_work(c);
        if (has_driven_enough(c, mine, until)) break;
        bool looks = is_awaited(c, mine) && pawl__spin_again(&c->spin);
        if (!looks && c->makes_way) {
            c->makes_way = false; /* what was held back leaves first */
            continue;
        }
        c->handed_over = mine && !looks && must_be_reliable(c);
        if (c->handed_over) break;
        pawl__turn_sleep(c, until, looks);
    }
    if (c->makes_way) turn_at_once(c);
    c->driven = false;
    pass_role(c);
}

static bool may_drive(const pawl_client *c)
{
    return !c->driven && c->role_wanted == 0;
}

/* Mutex held. false: it is complete, and the mutex is not held any more. */
static bool drive_or_sleep(pawl_client *c, pawl__sleeper *sleeper, int64_t until)
{
    while (!sleeper->complete && !has_come(until)) {
        if (may_drive(c) && needs_caller(c) && !c->handed_over) {
            c->drives++;
            sleeper->to_drive = false;
            drive(c, sleeper, until);
            continue;
        }
        wake_driver(c);
        if (pawl__sleeper_wait(c, sleeper, until)) return false;
    }
    if (sleeper->to_drive && !c->driven) pass_role(c); /* it was us who were to drive */
    return true;
}

void pawl__sleep(pawl_client *c, pawl__sleeper *sleeper, int64_t until)
{
    if (!drive_or_sleep(c, sleeper, until)) pthread_mutex_lock(&c->mutex);
}

void pawl__sleep_unlock(pawl_client *c, pawl__sleeper *sleeper, int64_t until)
{
    if (drive_or_sleep(c, sleeper, until)) pthread_mutex_unlock(&c->mutex);
}

/*
 * Role and mutex held. Callers wait for each other, and so nobody listens: before one of them
 * gives the lock to the next we look whether others want it, too (the fairness of local
 * sharing, PAWL__ACT_YIELD, counts from when we hear of them).
 */
static void listen(pawl_client *c)
{
    if (pawl__list_empty(&c->sleepers)) return;
    int64_t now = pawl__now();
    if (now - c->looked_at < LOOK_FIRST_NS) return;
    c->looked_at = now;
    pawl__turn_look(c);
}

/*
 * Role and mutex held, and the process ends: what was asked leaves, and has time to arrive. (It
 * may need a second try, and a socket that is closed over unread news drops what it has not sent.)
 */
static void drive_out(pawl_client *c, int64_t until)
{
    int64_t by = pawl__instant_min(until, pawl__instant_add(pawl__now(), EXIT_ANSWER_NS));
    turn_at_once(c);
    while (c->link_up && c->engine && pawl__engine_releases(c->engine) && !has_come(by)) {
        pawl__turn_sleep(c, by, false);
        pawl__turn_work(c);
    }
}

static void drive_before_exit(pawl_client *c)
{
    int64_t until = pawl__instant_add(pawl__now(), EXIT_ANSWER_NS);
    if (c->closing || !pawl__role_take(c, until)) return;
    drive_out(c, until);
    pawl__role_give(c);
}

void pawl__drive_soon(pawl_client *c)
{
    if (c->exiting) {
        drive_before_exit(c);
        return;
    }
    if (!may_drive(c)) {
        wake_driver(c);
        return;
    }
    c->drives++;
    c->driven = true;
    listen(c);
    turn_at_once(c);
    c->driven = false;
    pass_role(c);
}

void pawl__drive_later(pawl_client *c)
{
    int64_t now = pawl__now();
    bool thread_looks = c->thread_looks_at > 0 && c->thread_looks_at <= now + DEFER_NS;
    c->released_at = now;
    bool waits = c->cycling && thread_looks && !c->exiting;
    if (waits && pawl__list_empty(&c->sleepers) && may_drive(c)) return;
    pawl__drive_soon(c);
}

void pawl__drive_now(pawl_client *c)
{
    c->released_at = 0; /* no loop of releases that could wait */
    pawl__drive_soon(c);
    if (!may_drive(c) || c->exiting) return;
    bool alone =
        c->async_pending == 0 && pawl__list_empty(&c->sleepers); /* nobody else is held up */
    c->makes_way = alone && c->spin.under_way > 0;
}

void pawl__drive_noted(pawl_client *c)
{
    int64_t now = c->released_at ? pawl__now() : 0;
    c->cycling = c->released_at && now - c->released_at < DEFER_NS;
    if (c->cycling && c->thread_looks_at > now + DEFER_NS) wake_thread(c);
}

void pawl__drive_at_exit(pawl_client *c, int64_t until)
{
    static const pawl__event keep_nothing = {.kind = PAWL__EV_KEEP_NOTHING};
    if (pawl__client_forked(c) || !lock_in_time(&c->mutex, until)) return;
    if (!c->closing && pawl__role_take(c, until)) {
        c->exiting = true;
        pawl__cached_end_all(c);
        pthread_mutex_unlock(&c->mutex);
        pawl__turn_feed(c, &keep_nothing);
        pthread_mutex_lock(&c->mutex);
        drive_out(c, until);
        pawl__role_give(c);
    }
    pthread_mutex_unlock(&c->mutex);
}

/* ---- The client's thread -------------------------------------------------------------------- */

/* Mutex held. How long the client's thread may sleep; patience: at most, if nothing is due. */
static int64_t look_span(const pawl_client *c, int64_t patience, bool busy)
{
    if (c->cycling && busy) return DEFER_NS;
    /* Who has the role, or is about to take it, wakes us if need be when he gives it up. */
    if (!may_drive(c)) return patience;
    int64_t due_in = pawl__turn_due(c) - pawl__now();
    if (c->hears_at_once) patience = LOOK_FIRST_NS;
    return pawl__instant_min(patience, due_in > 0 ? due_in : 0);
}

static bool has_work(const pawl_client *c)
{
    if (!may_drive(c)) return false;
    if (c->handed_over || c->async_pending > 0 || !pawl__list_empty(&c->asked)) return true;
    return pawl__turn_due(c) <= pawl__now();
}

/*
 * Sleeps while callers drive, longer each time; returns when there is something for the
 * thread to do. busy: callers drove during the last sleep.
 */
static void stay_away(pawl_client *c, int64_t *patience)
{
    bool busy = true;
    do {
        uint64_t seen = c->drives;
        int64_t span_ns = look_span(c, *patience, busy);
        if (span_ns == *patience) *patience = pawl__instant_min(span_ns * 2, LOOK_MAX_NS);
        c->thread_looks_at = pawl__now() + span_ns;
        wait_ns(c, &c->thread_cond, span_ns);
        c->thread_looks_at = 0;
        busy = c->drives != seen;
        if (c->driven && !busy) pawl__claims_tell_overdue(c);
    } while (!c->stop && !has_work(c) && (busy || !may_drive(c)));
}

void *pawl__drive_thread(void *arg)
{
    pawl_client *c = arg;
    int64_t patience = LOOK_FIRST_NS;
    pthread_mutex_lock(&c->mutex);
    while (!c->stop) {
        int64_t since = pawl__now();
        if (may_drive(c)) drive(c, NULL, PAWL__NEVER);
        /* Callers who come back soon will do so again: it stays away for longer. */
        if (pawl__now() - since > LOOK_MAX_NS) patience = LOOK_FIRST_NS;
        if (!c->stop) stay_away(c, &patience);
    }
    pthread_mutex_unlock(&c->mutex);
    return NULL;
}

/* ---- Before all others: close and fork ------------------------------------------------------ */

static void take_role(pawl_client *c)
{
    c->driven = true;
    c->makes_way = false;
}

bool pawl__role_take(pawl_client *c, int64_t until)
{
    c->role_wanted++;
    while (c->driven && !has_come(until)) {
        wake_driver(c);
        wait_ns(c, &c->role_cond, span_until(until));
    }
    c->role_wanted--;
    if (c->driven) return false;
    take_role(c);
    return true;
}

void pawl__role_give(pawl_client *c)
{
    /* Whoever asked meanwhile could not drive, and relied on us. */
    if (!pawl__list_empty(&c->asked) || !pawl__list_empty(&c->queries)) turn_at_once(c);
    c->driven = false;
    pass_role(c);
}

/* After all others who want it: fork and exit would never get it from one who takes it again. */
bool pawl__role_take_unless_closed(pawl_client *c)
{
    c->role_wanted++;
    while ((c->driven || c->role_wanted > 1) && !c->closing) {
        wake_driver(c);
        wait_ns(c, &c->role_cond, PAWL__NEVER);
    }
    c->role_wanted--;
    if (c->closing) return false;
    take_role(c);
    return true;
}

void pawl__drive_for(pawl_client *c, const pawl__sleeper *sleeper, int64_t until)
{
    pawl__turn_work(c);
    do {
        if (sleeper->complete || c->role_wanted > 0) return;
        pawl__turn_sleep(c, until, false);
        pawl__turn_work(c);
    } while (!has_come(until));
}

void pawl__drive_to_rest(pawl_client *c, int64_t until)
{
    for (;;) {
        pawl__turn_work(c);
        if (!c->engine || !pawl__engine_busy(c->engine) || has_come(until)) return;
        pawl__turn_sleep(c, until, false);
    }
}

void pawl__role_freeze(pawl_client *c, int64_t until)
{
    atomic_store(&c->quiet_at_fork, false);
    if (pawl__client_forked(c)) return; /* a child of _Fork() that forks */
    if (!lock_in_time(&c->mutex, until)) return;
    if (!pawl__role_take(c, until)) {
        pthread_mutex_unlock(&c->mutex);
        return;
    }
    atomic_store(&c->quiet_at_fork, true); /* role and mutex are held until the thaw */
}

void pawl__role_thaw(pawl_client *c)
{
    if (!atomic_load(&c->quiet_at_fork)) return;
    atomic_store(&c->quiet_at_fork, false);
    pawl__role_give(c);
    pthread_mutex_unlock(&c->mutex);
}
