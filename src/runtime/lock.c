/* SPDX-License-Identifier: MIT */
/* What callers do with lock handles. */
#include "../base/instant.h"
#include "client.h"
#include "visit.h"

#include <stdlib.h>
#include <string.h>

/* ---- Held or not: no I/O, no lock, async-signal-safe ---------------------------------------- */

bool pawl_lock_is_held(const pawl_lock *lock)
{
    return lock && !pawl__lock_is_forked(lock) && pawl__held_left(&lock->held) > 0;
}

int64_t pawl_lock_remaining_ms(const pawl_lock *lock)
{
    if (!lock || pawl__lock_is_forked(lock)) return 0;
    return pawl__held_left(&lock->held) / PAWL__NS_PER_MS;
}

uint64_t pawl_lock_fence(const pawl_lock *lock)
{
    return lock ? atomic_load(&lock->fence) : 0;
}

void pawl_lock_token(const pawl_lock *lock, pawl_token *ret_token)
{
    if (!ret_token) return;
    memset(ret_token, 0, sizeof *ret_token);
    if (!lock || !pawl_lock_fence(lock)) return; /* no acquisition yet, so no token */
    if (pawl__lock_is_forked(lock)) return;      /* it may be half written there */
    pawl__token_read(&lock->token, ret_token->text);
}

const char *pawl_lock_name(const pawl_lock *lock)
{
    return lock ? lock->name : "";
}

/* ---- Acquire --------------------------------------------------------------------------------- */

/* Much may have happened between the grant and our waking: never report a grant that is over. */
static int why_gone(const pawl_lock *lock)
{
    pawl_client *c = pawl__lock_client(lock);
    if (pawl__held_left(&lock->held) > 0) return PAWL_OK;
    pthread_mutex_lock(&c->gate.mutex);
    bool closing = c->gate.closing;
    pthread_mutex_unlock(&c->gate.mutex);
    if (closing) return PAWL_ERR_CLOSED;
    /* Otherwise another thread has given it back. */
    return pawl__held_is_expired(&lock->held) ? PAWL_ERR_LOST : PAWL_OK;
}

/*
 * A re-entrant handle does not count a grant that is reported as lost: callers that have acquired
 * it release it, and we do not. (Any other handle stays lost until it is released.)
 */
static void uncount(pawl_lock *lock)
{
    if (!lock->extras || !lock->extras->reentrant) return;
    pawl__acquisition *a = NULL;
    int err;
    pthread_mutex_lock(&lock->home->gate->mutex);
    if (!pawl__reentry_leave(lock, &err))
        (void)pawl__acquisition_take_back(lock, PAWL_TRACE_RELEASED, &a);
    if (a) pawl__acquisition_ask(a, PAWL__ASK_RELEASE);
    if (a) pawl__gate_flush_now(lock->home->gate);
    pthread_mutex_unlock(&lock->home->gate->mutex);
}

/* What a caller is told whose wait is over. Mutex not held. */
static int end_of_wait(pawl_lock *lock, const pawl__waiter *waiter)
{
    if (waiter->err) return waiter->err;
    int err = why_gone(lock);
    if (err == PAWL_ERR_LOST) uncount(lock);
    return err;
}

static int acquire(pawl_lock *lock, int64_t wait_ms)
{
    pawl__visit visit;
    int err = pawl__enter(pawl__lock_client(lock), &visit);
    if (err) return err;
    pawl__waiter waiter;
    pawl__waiter_init(&waiter);
    pawl__completion completion = {.waiter = &waiter};
    bool had_it = pawl__reentry_enter(lock, &err);
    if (!had_it) err = pawl__acquisition_begin(lock, pawl__wait_until(wait_ms), &completion);
    if (had_it || err) {
        pawl__leave(&visit);
        return err;
    }
    pawl__gate_wait(lock->home->gate, &waiter, PAWL__NEVER); /* the engine ends it in time */
    err = end_of_wait(lock, &waiter);
    pawl__leave_unlocked(&visit);
    return err;
}

int pawl_lock_acquire(pawl_lock *lock, int64_t wait_ms)
{
    if (!lock || wait_ms < PAWL_WAIT_FOREVER) return PAWL_ERR_ARGUMENT;
    if (pawl__lock_is_forked(lock)) return PAWL_ERR_FORKED;
    if (!pawl__held_take(&lock->held)) return acquire(lock, wait_ms);
    if (pawl__lock_is_traced(lock)) pawl__hold_taken(lock);
    return PAWL_OK;
}

int pawl_lock_acquire_start(pawl_lock *lock, int64_t wait_ms, pawl_done_fn done, void *userdata)
{
    if (!lock || !done || wait_ms < PAWL_WAIT_FOREVER) return PAWL_ERR_ARGUMENT;
    pawl_client *c = pawl__lock_client(lock);
    pawl__visit visit;
    int err = pawl__enter(c, &visit);
    if (err) return err;
    pawl__completion *completion = pawl__complete_by_callback(done, userdata);
    bool had_it = false;
    err = completion ? pawl__calls_need(&c->calls) : PAWL_ERR_NO_MEMORY;
    if (!err) had_it = pawl__reentry_enter(lock, &err);
    if (!err && had_it)
        pawl__acquisition_complete_at_once(lock->acquisition, completion, PAWL__CALL_ACQUIRED);
    if (!err && !had_it) err = pawl__acquisition_begin(lock, pawl__wait_until(wait_ms), completion);
    if (!err && !had_it) {
        c->gate.async_pending++;
        pawl__gate_flush_now(&c->gate);
    }
    pawl__leave(&visit);
    if (err) free(completion);
    return err;
}

/*
 * Mutex held: looks for the end of a call that `later` waits for by `waiter`. false: it has not
 * come, and later's callback hears of it.
 */
static bool look_for_end(pawl__acquisition *a, pawl__completion *later, pawl__waiter *waiter,
                         int64_t look_ms)
{
    pawl__gate *gate = pawl__acquisition_lock(a)->home->gate;
    if (look_ms == 0) {
        pawl__gate_look(gate, waiter);
    } else {
        pawl__gate_wait(gate, waiter, pawl__instant_add(pawl__now(), pawl__ms_to_ns(look_ms)));
        pthread_mutex_lock(&gate->mutex);
    }
    if (waiter->complete) return true;
    pawl__acquisition_call_later(a, later);
    gate->async_pending++;
    pawl__gate_flush_now(gate);
    return false;
}

/* Mutex held. false: it has begun, and goes on. */
static bool begin_and_look(pawl_lock *lock, int64_t wait_ms, int64_t look_ms,
                           pawl__completion *later, pawl__waiter *waiter)
{
    pawl__waiter_init(waiter);
    later->waiter = waiter;
    waiter->err = pawl__acquisition_begin(lock, pawl__wait_until(wait_ms), later);
    return waiter->err || look_for_end(lock->acquisition, later, waiter, look_ms);
}

int pawl_lock_acquire_or_start(pawl_lock *lock, int64_t wait_ms, int64_t look_ms, pawl_done_fn done,
                               void *userdata, bool *ret_started)
{
    if (!lock || !done || !ret_started || wait_ms < PAWL_WAIT_FOREVER || look_ms < 0)
        return PAWL_ERR_ARGUMENT;
    if (pawl__lock_is_forked(lock)) return PAWL_ERR_FORKED;
    if (pawl__held_take(&lock->held)) {
        if (pawl__lock_is_traced(lock)) pawl__hold_taken(lock);
        *ret_started = false;
        return PAWL_OK;
    }
    pawl_client *c = pawl__lock_client(lock);
    pawl__visit visit;
    int err = pawl__enter(c, &visit);
    if (err) return err;
    pawl__waiter waiter;
    pawl__completion *later = pawl__complete_by_callback(done, userdata);
    err = later ? pawl__calls_need(&c->calls) : PAWL_ERR_NO_MEMORY;
    bool over = err || pawl__reentry_enter(lock, &err);
    bool begun = !over;
    if (begun) over = begin_and_look(lock, wait_ms, look_ms, later, &waiter);
    if (over) free(later);
    pthread_mutex_unlock(&c->gate.mutex);
    if (begun && over) err = end_of_wait(lock, &waiter);
    pawl__leave_unlocked(&visit);
    if (!err) *ret_started = !over;
    return err;
}

int pawl_lock_cancel(pawl_lock *lock)
{
    if (!lock) return PAWL_ERR_ARGUMENT;
    pawl_client *c = pawl__lock_client(lock);
    pawl__visit visit;
    int err = pawl__enter(c, &visit);
    if (err) return err;
    if (c->gate.closing) {
        err = PAWL_ERR_CLOSED;
    } else if (lock->state != PAWL__LOCK_ACQUIRING &&
               !(lock->acquisition && lock->acquisition->upgrades)) {
        err = PAWL_ERR_STATE;
    } else {
        pawl__acquisition_ask(lock->acquisition, PAWL__ASK_CANCEL);
        pawl__gate_flush_now(&c->gate);
    }
    pawl__leave(&visit);
    return err;
}

void pawl__lock_cancel_soon(pawl_lock *lock)
{
    pawl_client *c = pawl__lock_client(lock);
    pawl__visit visit;
    if (pawl__enter(c, &visit)) return;
    if (lock->state == PAWL__LOCK_ACQUIRING && !c->gate.closing) {
        pawl__acquisition_ask(lock->acquisition, PAWL__ASK_CANCEL);
        pawl__gate_flush_now(&c->gate);
    } else {
        lock->cancels = true;
    }
    pawl__leave(&visit);
}

void pawl__lock_cancel_no_more(pawl_lock *lock)
{
    pawl_client *c = pawl__lock_client(lock);
    pawl__visit visit;
    if (pawl__enter(c, &visit)) return;
    lock->cancels = false;
    pawl__leave(&visit);
}

/* ---- Release, mutex held -------------------------------------------------------------------- */

/* Sends it at once if nobody else owns the loop, else wakes who does. */
static int release(pawl_lock *lock)
{
    pawl__gate *gate = lock->home->gate;
    pawl__acquisition *a = NULL;
    int err = PAWL_OK;
    bool inner = pawl__reentry_leave(lock, &err);
    bool lent = !inner && pawl__retention_lend(lock);
    bool rests = !inner && !lent && pawl__reader_lends(lock);
    if (!inner && !lent && !rests) err = pawl__acquisition_take_back(lock, PAWL_TRACE_RELEASED, &a);
    if (a) pawl__acquisition_ask(a, PAWL__ASK_RELEASE);
    if (a && !err && !a->wanted && !a->waited)
        pawl__gate_flush_now(gate);
    else if (lent || a)
        pawl__gate_flush_release(gate);
    return err;
}

/* A lease that the handle retains is put back without the mutex. */
static bool put_back(pawl_lock *lock)
{
    int64_t since = pawl__hold_since(lock);
    _Atomic int64_t *put_back_at = lock->extras ? &lock->extras->put_back_at : NULL;
    if (!pawl__held_put_back(&lock->held, put_back_at)) return false;
    if (pawl__lock_is_traced(lock)) pawl__hold_put_back(lock, since);
    return true;
}

int pawl_lock_release(pawl_lock *lock)
{
    if (!lock) return PAWL_ERR_ARGUMENT;
    if (pawl__lock_is_forked(lock)) return PAWL_ERR_FORKED;
    if (put_back(lock)) return PAWL_OK;
    pawl__visit visit;
    int err = pawl__enter(pawl__lock_client(lock), &visit);
    if (err) return err;
    err = release(lock);
    pawl__leave(&visit);
    return err;
}

/* A release whose end somebody waits for. false: it was lost, and there is nothing to wait for. */
static bool ask_release_waiting(pawl__acquisition *a, pawl__completion *completion, int err)
{
    if (!a) return false;
    a->await_store = !err;
    if (!err) pawl__acquisition_add_completion(a, completion, PAWL__CALL_RELEASED);
    pawl__acquisition_ask(a, PAWL__ASK_RELEASE);
    return !err;
}

int pawl_lock_release_wait(pawl_lock *lock, int64_t wait_ms)
{
    if (!lock || wait_ms < PAWL_WAIT_FOREVER) return PAWL_ERR_ARGUMENT;
    pawl_client *c = pawl__lock_client(lock);
    int64_t until =
        wait_ms < 0 ? PAWL__NEVER : pawl__instant_add(pawl__now(), pawl__ms_to_ns(wait_ms));
    pawl__visit visit;
    int err = pawl__enter(c, &visit);
    if (err) return err;
    pawl__waiter waiter;
    pawl__waiter_init(&waiter);
    pawl__completion completion = {.waiter = &waiter};
    pawl__acquisition *a = NULL;
    bool inner = pawl__reentry_leave(lock, &err);
    if (!inner) err = pawl__acquisition_take_back(lock, PAWL_TRACE_RELEASED, &a);
    if (ask_release_waiting(a, &completion, err)) {
        pawl__gate_wait(&c->gate, &waiter, until);
        pthread_mutex_lock(&c->gate.mutex);
        err = waiter.complete ? waiter.err : PAWL_ERR_UNKNOWN;
        if (!waiter.complete)
            pawl__acquisition_remove_completion(a, &completion); /* pawl goes on by itself */
    }
    if (a && err) pawl__gate_flush_now(&c->gate); /* at least it is sent */
    pawl__leave(&visit);
    return err;
}

int pawl_lock_release_start(pawl_lock *lock, pawl_done_fn done, void *userdata)
{
    if (!lock || !done) return PAWL_ERR_ARGUMENT;
    pawl_client *c = pawl__lock_client(lock);
    pawl__visit visit;
    int err = pawl__enter(c, &visit);
    if (err) return err;
    pawl__acquisition *a = NULL;
    pawl__completion *completion = pawl__complete_by_callback(done, userdata);
    bool inner = false;
    err = completion ? pawl__calls_need(&c->calls) : PAWL_ERR_NO_MEMORY;
    if (!err) inner = pawl__reentry_leave(lock, &err);
    if (!err && inner)
        pawl__acquisition_complete_at_once(lock->acquisition, completion, PAWL__CALL_RELEASED);
    if (!err && !inner) err = pawl__acquisition_take_back(lock, PAWL_TRACE_RELEASED, &a);
    if (ask_release_waiting(a, completion, err)) c->gate.async_pending++;
    if (a) pawl__gate_flush_now(&c->gate);
    pawl__leave(&visit);
    if (err) free(completion);
    return err;
}

/* Mutex held: another thread sends the request. false: it has begun, and goes on. */
static bool release_and_look(pawl_lock *lock, int64_t look_ms, pawl__completion *later,
                             int *ret_err)
{
    pawl__acquisition *a = NULL;
    pawl__waiter waiter;
    pawl__waiter_init(&waiter);
    /* cppcheck-suppress autoVariables ; look_for_end takes it back if it is not over */
    later->waiter = &waiter;
    if (pawl__reentry_leave(lock, ret_err)) return true;
    *ret_err = pawl__acquisition_take_back(lock, PAWL_TRACE_RELEASED, &a);
    bool over = !ask_release_waiting(a, later, *ret_err);
    if (!over) {
        over = look_for_end(a, later, &waiter, look_ms);
        *ret_err = over ? waiter.err : PAWL_OK;
    } else if (a)
        pawl__gate_flush_now(lock->home->gate);
    return over;
}

int pawl_lock_release_or_start(pawl_lock *lock, int64_t look_ms, pawl_done_fn done, void *userdata,
                               bool *ret_started)
{
    if (!lock || !done || !ret_started || look_ms < 0) return PAWL_ERR_ARGUMENT;
    if (pawl__lock_is_forked(lock)) return PAWL_ERR_FORKED;
    if (put_back(lock)) {
        *ret_started = false;
        return PAWL_OK;
    }
    pawl_client *c = pawl__lock_client(lock);
    pawl__visit visit;
    int err = pawl__enter(c, &visit);
    if (err) return err;
    bool over = pawl__gate_is_free(&c->gate);
    if (over) {
        err = release(lock);
    } else {
        pawl__completion *later = pawl__complete_by_callback(done, userdata);
        err = later ? pawl__calls_need(&c->calls) : PAWL_ERR_NO_MEMORY;
        over = err || release_and_look(lock, look_ms, later, &err);
        if (over) free(later);
    }
    pawl__leave(&visit);
    if (!err) *ret_started = !over;
    return err;
}

int pawl_lock_detach(pawl_lock *lock)
{
    if (!lock) return PAWL_ERR_ARGUMENT;
    pawl_client *c = pawl__lock_client(lock);
    pawl__visit visit;
    int err = pawl__enter(c, &visit);
    if (err) return err;
    pawl__acquisition *a = NULL;
    err = pawl__lock_is_nested(lock) ? PAWL_ERR_STATE
                                     : pawl__acquisition_take_back(lock, PAWL_TRACE_DETACHED, &a);
    if (a) {
        pawl__acquisition_ask(a, err ? PAWL__ASK_RELEASE : PAWL__ASK_DETACH);
        pawl__gate_flush_now(&c->gate);
    }
    pawl__leave(&visit);
    return err;
}

/* ---- Free ----------------------------------------------------------------------------------- */

/* In the child of a fork: frees only memory, and only if the fork found the client at a quiet
 * moment (law 9). */
static void free_in_child(pawl_lock *lock)
{
    pawl_client *c = pawl__lock_client(lock);
    if (!pawl__gate_is_quiet(&c->gate) || lock->freed) return;
    lock->freed = true;
    c->acquisitions.refs++;
    pawl__lock_put(lock);
    pawl__client_put_in_child(c);
}

/*
 * Mutex held: gives up whatever the handle has. True if that must be sent at once; a release that
 * was asked for earlier is sent by itself when it is due.
 */
static bool abandon(pawl_lock *lock)
{
    bool asks = lock->state == PAWL__LOCK_ACQUIRING || lock->state == PAWL__LOCK_HELD;
    pawl__retention_recall(lock);
    pawl__acquisition *a = lock->acquisition;
    if (a && lock->state == PAWL__LOCK_HELD && !a->let_go) pawl__hold_given_up(lock);
    pawl__held_clear(&lock->held);
    lock->freed = true;
    lock->acquisition = NULL;
    if (!a) return asks;
    switch ((pawl__lock_state)lock->state) {
    case PAWL__LOCK_IDLE:
    case PAWL__LOCK_LOST:
        break;
    case PAWL__LOCK_ACQUIRING:
        a->abandoned = true;
        pawl__acquisition_ask(a, PAWL__ASK_CANCEL);
        break;
    case PAWL__LOCK_HELD:
        pawl__acquisition_cancel_grant(a);
        pawl__acquisition_ask(a, PAWL__ASK_RELEASE);
        break;
    }
    lock->state = PAWL__LOCK_IDLE;
    a->let_go = true;
    pawl__acquisition_free_unused(a);
    return asks;
}

pawl_lock *pawl_lock_free(pawl_lock *lock)
{
    if (!lock) return NULL;
    pawl_client *c = pawl__lock_client(lock);
    if (pawl__client_is_forked(c)) {
        free_in_child(lock);
        return NULL;
    }
    pawl__visit visit;
    if (pawl__enter(c, &visit)) return NULL; /* in a fork handler: it is not freed */
    c->acquisitions.refs++;                  /* the handle's reference may be the last one */
    if (abandon(lock)) pawl__gate_flush_now(&c->gate);
    pawl__calls_wait_for(&c->calls, lock);
    pawl__lock_put(lock);
    pawl__leave_and_put(&visit);
    return NULL;
}
