/* SPDX-License-Identifier: MIT */
/* Passes the engine's actions on to the handles, the callers and the callbacks. */
#define _GNU_SOURCE
#include "acquisition.h"

#include <stdio.h>
#include <string.h>

static void forget_by_engine(pawl__acquisition *a)
{
    pawl__retention_disarm(a);
    a->known = false;
    pawl__list_remove(&a->in_asked);
    a->asked = 0;
}

/* `a` is the present acquisition of its lock. */
static void tell_loss(pawl__acquisitions *home, pawl__acquisition *a, pawl_err err,
                      const char *message)
{
    pawl_lock *lock = pawl__acquisition_lock(a);
    char room[PAWL_MESSAGE_MAX];
    pawl_trace event = {.kind = PAWL_TRACE_LOST,
                        .name = lock->name,
                        .err = err,
                        .message = pawl__reason(home, err, message, room)};
    pawl__lose(a, err, message);
    pawl__keep_trouble(home, &event);
    pawl__hold_ends(lock, PAWL_TRACE_LOST, err, event.message);
    if (pawl__lock_is_part(lock)) pawl__several_part_lost(lock, err, event.message);
}

/* ---- The engine's actions, mutex held ------------------------------------------------------- */

static void on_granted(pawl__acquisitions *home, pawl__acquisition *a, const pawl__action *action)
{
    pawl_lock *lock = pawl__acquisition_lock(a);
    if (a->abandoned) {
        a->let_go = true;
        pawl__acquisition_ask(a, PAWL__ASK_RELEASE);
        pawl__end_acquire(home, a, PAWL_ERR_CANCELED, NULL);
        return;
    }
    pawl__token_show(&lock->token, action->token);
    for (size_t i = 0; i < action->slot_count; i++)
        atomic_store(&lock->extras->slots[i], action->slots[i]);
    atomic_store(&lock->fence, action->fence);
    atomic_store(&lock->mode, a->want.mode);
    a->wanted = pawl__want_is_wanted(&a->want);
    a->waited = pawl__want_had_queued(&a->want);
    pawl__held_begin(&lock->held, action->deadline);
    lock->state = PAWL__LOCK_HELD;
    pawl__reader_comes(a);
    pawl__hold_begins(lock);
    pawl__end_acquire(home, a, PAWL_OK, NULL);
}

/* The end of an upgrade; nobody waits for the end of a downgrade. */
static void on_changed(pawl__acquisitions *home, pawl__acquisition *a, const pawl__action *action)
{
    if (!a->upgrades) return;
    pawl_lock *lock = pawl__acquisition_lock(a);
    int err = action->err;
    bool undone = a->let_go || a->change_to != PAWL_MODE_EXCLUSIVE;
    if (!err && undone) err = PAWL_ERR_CANCELED; /* given back, or downgraded, meanwhile */
    if (err == PAWL_ERR_CANCELED && home->gate->closing) err = PAWL_ERR_CLOSED;
    if (err == PAWL_ERR_CANCELED && lock->state == PAWL__LOCK_LOST && lock->acquisition == a)
        err = PAWL_ERR_LOST;
    if (!err) {
        atomic_store(&lock->fence, action->fence);
        atomic_store(&lock->mode, PAWL_MODE_EXCLUSIVE);
    }
    if (err && pawl_err_class_of(err) != PAWL_CLASS_CANCELED)
        pawl__set_reason(home->messages, (pawl_err)err, action->message);
    pawl__end_change(home, a, err);
}

static void on_refused(pawl__acquisitions *home, pawl__acquisition *a, const pawl__action *action)
{
    pawl_lock *lock = pawl__acquisition_lock(a);
    forget_by_engine(a);
    a->let_go = true;
    if (lock->acquisition == a) {
        lock->acquisition = NULL;
        lock->state = PAWL__LOCK_IDLE;
    }
    char room[PAWL_MESSAGE_MAX];
    pawl_trace event = {.kind = PAWL_TRACE_REFUSED,
                        .name = lock->name,
                        .err = action->err,
                        .message = action->message};
    if (action->err != PAWL_ERR_BUSY) /* else it is the holder's label, or nothing */
        event.message = pawl__reason(home, action->err, action->message, room);
    if (pawl_err_class_of(action->err) != PAWL_CLASS_CANCELED) pawl__keep_trouble(home, &event);
    pawl__end_acquire(home, a, action->err, event.message);
    pawl__acquisition_free_unused(a);
}

static void tell_renewal(pawl__acquisitions *home, const pawl__acquisition *a, int64_t old_deadline,
                         bool after_doubt)
{
    pawl_trace event = {.kind = PAWL_TRACE_RENEWED,
                        .name = pawl__acquisition_lock(a)->name,
                        .ttl_ms = a->want.ttl_ms,
                        .after_doubt = after_doubt,
                        .span_ns = old_deadline - pawl__now()};
    pawl__trace_tell(home->trace, &event);
}

static void on_extended(pawl__acquisitions *home, pawl__acquisition *a, const pawl__action *action)
{
    if (a->let_go) return;
    pawl_lock *lock = pawl__acquisition_lock(a);
    int64_t old_deadline = pawl__held_deadline(&lock->held);
    if (!pawl__held_extend(&lock->held, action->deadline)) { /* law 2: it was seen to pass */
        tell_loss(home, a, PAWL_ERR_LOST, "the renewal was confirmed after the deadline");
        pawl__acquisition_ask(a, PAWL__ASK_RELEASE);
        return;
    }
    if (pawl__lock_is_part(lock)) pawl__several_part_extended(lock, action->after_doubt);
    if (pawl__trace_hears(home->trace, PAWL_TRACE_RENEWED))
        tell_renewal(home, a, old_deadline, action->after_doubt);
    if (!action->after_doubt) return;
    bool untold = a->calls & PAWL__CALL_DOUBT;
    a->calls &= (uint8_t)~PAWL__CALL_DOUBT;
    if (!untold) pawl__acquisition_call(a, PAWL__CALL_HELD);
}

static void on_doubt(pawl__acquisitions *home, pawl__acquisition *a, const pawl__action *action)
{
    pawl__retention_refuse(a);
    if (a->let_go) return;
    const pawl_lock *lock = pawl__acquisition_lock(a);
    char room[PAWL_MESSAGE_MAX];
    pawl_trace event = {.kind = PAWL_TRACE_DOUBT,
                        .name = lock->name,
                        .err = action->err,
                        .message = pawl__reason(home, action->err, action->message, room),
                        .span_ns = pawl__held_deadline(&lock->held) - pawl__now()};
    pawl__keep_trouble(home, &event);
    pawl__trace_tell(home->trace, &event);
    pawl__keep_event(a, action->err, action->message);
    a->calls &= (uint8_t)~PAWL__CALL_HELD;
    pawl__acquisition_call(a, PAWL__CALL_DOUBT);
    if (pawl__lock_is_part(lock)) pawl__several_part_in_doubt(lock, action->err, event.message);
}

static void on_wanted(pawl__acquisitions *home, pawl__acquisition *a)
{
    pawl__retention_refuse(a);
    if (a->let_go) return;
    pawl_trace event = {.kind = PAWL_TRACE_WANTED, .name = pawl__acquisition_lock(a)->name};
    pawl__trace_tell(home->trace, &event);
    pawl__acquisition_call(a, PAWL__CALL_YIELD);
    const pawl_lock *lock = pawl__acquisition_lock(a);
    if (pawl__lock_is_part(lock)) pawl__several_part_wanted(lock);
}

static void on_lost(pawl__acquisitions *home, pawl__acquisition *a, const pawl__action *action)
{
    pawl__retention_refuse(a);
    if (!a->let_go) tell_loss(home, a, action->err, action->message);
    if (!(a->asked & PAWL__ASK_RELEASE)) pawl__acquisition_ask(a, PAWL__ASK_RELEASE);
}

static void on_released(pawl__acquisitions *home, pawl__acquisition *a, const pawl__action *action)
{
    forget_by_engine(a);
    if (!a->let_go) { /* the engine was closed while it was held */
        a->let_go = true;
        pawl__hold_given_up(pawl__acquisition_lock(a));
    }
    pawl__end_release(home, a, action->err);
    pawl__acquisition_free_unused(a);
}

void pawl__acquisitions_act(pawl__acquisitions *home, const pawl__action *action)
{
    pawl__acquisition *a = pawl__container(action->want, pawl__acquisition, want);
    pthread_mutex_lock(&home->gate->mutex);
    home->gate->serving = true;
    switch (action->kind) {
    case PAWL__ACT_SEND:
        break;
    case PAWL__ACT_GRANTED:
        on_granted(home, a, action);
        break;
    case PAWL__ACT_REFUSED:
        on_refused(home, a, action);
        break;
    case PAWL__ACT_EXTENDED:
        on_extended(home, a, action);
        break;
    case PAWL__ACT_DOUBT:
        on_doubt(home, a, action);
        break;
    case PAWL__ACT_YIELD:
        on_wanted(home, a);
        break;
    case PAWL__ACT_LOST:
        on_lost(home, a, action);
        break;
    case PAWL__ACT_RELEASED:
        on_released(home, a, action);
        break;
    case PAWL__ACT_CHANGED:
        on_changed(home, a, action);
        break;
    }
    home->gate->serving = false;
    pthread_mutex_unlock(&home->gate->mutex);
}

/* ---- When nobody comes back ------------------------------------------------------------------ */

void pawl__acquisitions_tell_overdue(pawl__acquisitions *home)
{
    int64_t now = pawl__now();
    for (pawl__link *l = home->all.next; l != &home->all; l = l->next) {
        pawl__acquisition *a = pawl__acquisition_of(l);
        pawl_lock *lock = pawl__acquisition_lock(a);
        bool held = lock->acquisition == a && lock->state == PAWL__LOCK_HELD && !a->let_go;
        if (!held || !pawl__held_is_over(&lock->held, now)) continue;
        tell_loss(home, a, PAWL_ERR_LOST, "the deadline passed while a thread kept the event loop");
        pawl__acquisition_ask(a, PAWL__ASK_RELEASE);
    }
}

/* ---- The end of all ------------------------------------------------------------------------- */

static void end_one(pawl__acquisitions *home, pawl__acquisition *a, int err)
{
    pawl_lock *lock = pawl__acquisition_lock(a);
    pawl__retention_refuse(a);
    bool was_held = lock->acquisition == a && lock->state == PAWL__LOCK_HELD && !a->let_go;
    if (a->known) forget_by_engine(a);
    pawl__end_acquire(home, a, err, NULL);
    pawl__end_change(home, a, err);
    pawl__end_release(home, a, PAWL_ERR_UNKNOWN);
    if (was_held && err != PAWL_ERR_CLOSED) {
        tell_loss(home, a, (pawl_err)err, NULL);
        if (!pawl__lock_is_part(lock)) return; /* it stays LOST until its owner has seen it */
        was_held = false;
    }
    a->let_go = true;
    if (lock->acquisition != a) return;
    if (was_held) pawl__hold_given_up(lock);
    pawl__held_clear(&lock->held);
    lock->acquisition = NULL;
    lock->state = PAWL__LOCK_IDLE;
}

void pawl__acquisitions_end(pawl__acquisitions *home, int err)
{
    pawl__several_disband_all(home);
    for (pawl__link *l = home->all.next, *next; l != &home->all; l = next) {
        next = l->next;
        pawl__acquisition *a = pawl__acquisition_of(l);
        end_one(home, a, err);
        pawl__acquisition_free_unused(a);
    }
}

void pawl__acquisitions_let_go(pawl__acquisitions *home)
{
    for (pawl__link *l = home->all.next; l != &home->all; l = l->next) {
        pawl__acquisition *a = pawl__acquisition_of(l);
        pawl_lock *lock = pawl__acquisition_lock(a);
        if (lock->acquisition != a || lock->state != PAWL__LOCK_HELD) continue;
        a->let_go = true;
        pawl__hold_given_up(lock);
    }
}

void pawl__acquisitions_forget(pawl__acquisitions *home)
{
    pawl__several_disband_all(home);
    for (pawl__link *l; (l = pawl__list_first(&home->all));) {
        pawl__acquisition *a = pawl__acquisition_of(l);
        pawl__list_remove(&a->in_calls);
        a->known = a->running = false;
        a->calls = 0;
        pawl_lock *lock = pawl__acquisition_lock(a);
        if (lock->acquisition == a) lock->acquisition = NULL;
        pawl__acquisition_free_unused(a);
    }
}
