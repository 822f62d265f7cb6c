/* SPDX-License-Identifier: MIT */
/* The mode in which a handle holds, and how it changes. */
#include "client.h"
#include "visit.h"

#include <stdlib.h>

pawl_mode pawl_lock_mode(const pawl_lock *lock)
{
    return lock ? (pawl_mode)atomic_load(&lock->mode) : PAWL_MODE_EXCLUSIVE;
}

size_t pawl_lock_slots(const pawl_lock *lock, uint16_t *ret_slots, size_t room)
{
    if (!lock || !lock->extras || !pawl_lock_fence(lock)) return 0;
    const pawl__extras *extras = lock->extras;
    for (size_t i = 0; ret_slots && i < room && i < extras->units; i++)
        ret_slots[i] = atomic_load(&extras->slots[i]);
    return extras->units;
}

/* ---- Mutex held ----------------------------------------------------------------------------- */

/* Whether the handle holds. If so, ends the loan of its lease, so that it stays with its caller. */
static int keep(pawl_lock *lock)
{
    if (lock->home->gate->closing) return PAWL_ERR_CLOSED;
    if (lock->state == PAWL__LOCK_LOST) return PAWL_ERR_LOST;
    if (lock->state != PAWL__LOCK_HELD || !pawl__held_pin(&lock->held)) return PAWL_ERR_NOT_HELD;
    if (pawl__held_left(&lock->held) == 0) return PAWL_ERR_LOST;
    lock->acquisition->wanted = true;
    return PAWL_OK;
}

static void ask_change(pawl_lock *lock, pawl_mode mode)
{
    lock->acquisition->change_to = (uint8_t)mode & 3u;
    pawl__acquisition_ask(lock->acquisition, PAWL__ASK_CHANGE);
}

/* 0, and *ret_waits false: it is exclusive already. */
static int begin_upgrade(pawl_lock *lock, int64_t wait_ms, pawl__completion *completion,
                         bool *ret_waits)
{
    *ret_waits = false;
    int err = keep(lock);
    if (err) return err;
    if (pawl__lock_is_several(lock))
        return PAWL_ERR_UNSUPPORTED; /* handles could wait for each other in a circle */
    pawl_mode mode = pawl_lock_mode(lock);
    if (mode == PAWL_MODE_EXCLUSIVE) return PAWL_OK;
    if (mode != PAWL_MODE_UPDATE) return PAWL_ERR_MODE;
    pawl__acquisition *a = lock->acquisition;
    if (a->upgrades) return PAWL_ERR_STATE;
    completion->waiting.wait_until = pawl__wait_until(wait_ms);
    pawl__acquisition_add_completion(a, completion, PAWL__CALL_CHANGED);
    a->upgrades = *ret_waits = true;
    a->asked &= (uint8_t)~PAWL__ASK_CANCEL; /* it was for a call that has ended */
    ask_change(lock, PAWL_MODE_EXCLUSIVE);
    pawl__gate_flush_now(lock->home->gate);
    return PAWL_OK;
}

static void downgrade_one(pawl_lock *lock, pawl_mode to)
{
    atomic_store(&lock->mode, (uint8_t)to);
    ask_change(lock, to);
}

/* The loss of one of several names is the loss of all. */
static int downgrade_parts(const pawl__several *several, pawl_mode to)
{
    for (size_t i = 0; i < several->count; i++) {
        int err = keep(several->parts[i]);
        if (err) return err;
        downgrade_one(several->parts[i], to);
    }
    return PAWL_OK;
}

/* The handle gets the weaker mode before the store is told, which happens at the flush (law 1). */
static int downgrade(pawl_lock *lock, pawl_mode to)
{
    int err = keep(lock);
    if (err) return err;
    pawl_mode from = pawl_lock_mode(lock);
    if (from == to && to != PAWL_MODE_PERMIT) return PAWL_OK;
    if (!pawl_mode_is_downgrade(from, to)) return PAWL_ERR_MODE;
    if (pawl__lock_is_several(lock)) {
        atomic_store(&lock->mode, (uint8_t)to);
        err = downgrade_parts(lock->extras->several, to);
    } else {
        downgrade_one(lock, to);
    }
    pawl__gate_flush_now(lock->home->gate);
    return err;
}

/* ---- The calls ------------------------------------------------------------------------------ */

int pawl_lock_upgrade(pawl_lock *lock, int64_t wait_ms)
{
    if (!lock || wait_ms < PAWL_WAIT_FOREVER) return PAWL_ERR_ARGUMENT;
    pawl__visit visit;
    int err = pawl__enter(pawl__lock_client(lock), &visit);
    if (err) return err;
    pawl__waiter waiter;
    pawl__waiter_init(&waiter);
    pawl__completion completion = {.waiter = &waiter};
    bool waits;
    err = begin_upgrade(lock, wait_ms, &completion, &waits);
    if (!waits) {
        pawl__leave(&visit);
        return err;
    }
    pawl__gate_wait(lock->home->gate, &waiter, PAWL__NEVER); /* the engine ends it in time */
    pawl__leave_unlocked(&visit);
    return waiter.err;
}

int pawl_lock_upgrade_start(pawl_lock *lock, int64_t wait_ms, pawl_done_fn done, void *userdata)
{
    if (!lock || !done || wait_ms < PAWL_WAIT_FOREVER) return PAWL_ERR_ARGUMENT;
    pawl_client *c = pawl__lock_client(lock);
    pawl__visit visit;
    int err = pawl__enter(c, &visit);
    if (err) return err;
    bool waits = false;
    pawl__completion *completion = pawl__complete_by_callback(done, userdata);
    err = completion ? pawl__calls_need(&c->calls) : PAWL_ERR_NO_MEMORY;
    if (!err) err = begin_upgrade(lock, wait_ms, completion, &waits);
    if (waits) c->gate.async_pending++;
    if (!err && !waits) /* it is exclusive already: the callback still comes */
        pawl__acquisition_complete_at_once(lock->acquisition, completion, PAWL__CALL_CHANGED);
    pawl__leave(&visit);
    if (err) free(completion);
    return err;
}

int pawl_lock_downgrade(pawl_lock *lock, pawl_mode mode)
{
    if (!lock || (unsigned)mode > PAWL_MODE_PERMIT) return PAWL_ERR_ARGUMENT;
    pawl__visit visit;
    int err = pawl__enter(pawl__lock_client(lock), &visit);
    if (err) return err;
    err = downgrade(lock, mode);
    pawl__leave(&visit);
    return err;
}
