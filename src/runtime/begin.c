/* SPDX-License-Identifier: MIT */
/* Begins an acquisition, and takes it back from its handle. */
#include "acquisition.h"

static int may_acquire(pawl_lock *lock)
{
    const pawl__acquisitions *home = lock->home;
    if (home->gate->closing) return PAWL_ERR_CLOSED;
    if (lock->freed) return PAWL_ERR_STATE; /* who frees it waits for the callback that asks */
    if (lock->cancels) {
        lock->cancels = false;
        return PAWL_ERR_CANCELED;
    }
    switch ((pawl__lock_state)lock->state) {
    case PAWL__LOCK_IDLE:
        return home->pump->broken ? home->pump->break_err : PAWL_OK;
    case PAWL__LOCK_ACQUIRING:
        return PAWL_ERR_STATE;
    case PAWL__LOCK_HELD:
        return pawl__held_left(&lock->held) > 0 ? PAWL_ERR_STATE : PAWL_ERR_LOST;
    case PAWL__LOCK_LOST:
        return PAWL_ERR_LOST;
    }
    return PAWL_ERR_STATE;
}

/* Tells the trace that a wait begins; returns when. */
static int64_t tell_acquiring(const pawl_lock *lock) __attribute__((cold));

static int64_t tell_acquiring(const pawl_lock *lock)
{
    pawl_trace event = {
        .kind = PAWL_TRACE_ACQUIRING, .name = lock->name, .ttl_ms = lock->first.want.ttl_ms};
    pawl__trace_tell(lock->home->trace, &event);
    return pawl__now();
}

int pawl__acquisition_begin(pawl_lock *lock, int64_t wait_until, pawl__completion *completion)
{
    pawl__acquisitions *home = lock->home;
    if (!home->gate->closing && lock->state == PAWL__LOCK_HELD)
        pawl__retention_recall(lock); /* the new acquisition gets the lease, if it is still there */
    int err = may_acquire(lock);
    if (err) return err;
    pawl__acquisition *a = pawl__acquisition_new(lock);
    if (!a) return PAWL_ERR_NO_MEMORY;
    a->want.waiting = &completion->waiting;
    completion->waiting.wait_until = wait_until;
    if (lock->extras) {
        completion->waiting.units = lock->extras->units;
        completion->waiting.capacity = lock->extras->capacity;
    }
    if (home->trace->hears & PAWL__TRACE_WAITS && !pawl__lock_is_several(lock))
        completion->begun_at = tell_acquiring(lock);
    pawl__acquisition_add_completion(a, completion, PAWL__CALL_ACQUIRED);
    a->known = true;
    lock->acquisition = a;
    lock->state = PAWL__LOCK_ACQUIRING;
    pawl__acquisition_ask(a, PAWL__ASK_WANT);
    return PAWL_OK;
}

int pawl__acquisition_take_back(pawl_lock *lock, pawl_trace_kind how, pawl__acquisition **ret_a)
{
    *ret_a = NULL;
    if (lock->home->gate->closing) return PAWL_ERR_CLOSED;
    if (lock->state == PAWL__LOCK_IDLE || lock->state == PAWL__LOCK_ACQUIRING)
        return PAWL_ERR_NOT_HELD;
    if (!pawl__held_pin(&lock->held)) return PAWL_ERR_NOT_HELD; /* it is retained */
    pawl__acquisition *a = lock->acquisition;
    bool told_lost = lock->state == PAWL__LOCK_LOST;
    bool held = pawl__held_end(&lock->held) && !told_lost;
    lock->acquisition = NULL;
    lock->state = PAWL__LOCK_IDLE;
    a->let_go = true;
    a->calls &= (uint8_t) ~(PAWL__CALL_EVENTS & ~PAWL__CALL_LOST);
    if (told_lost) {
        pawl__acquisition_free_unused(a);
        return PAWL_ERR_LOST;
    }
    *ret_a = a;
    pawl__hold_ends(lock, held ? how : PAWL_TRACE_LOST, held ? PAWL_OK : PAWL_ERR_LOST, NULL);
    if (held) return PAWL_OK;
    a->event_err = PAWL_ERR_LOST; /* a loss is an event, whoever notices it first (law 6) */
    pawl__acquisition_call(a, PAWL__CALL_LOST);
    return PAWL_ERR_LOST;
}
