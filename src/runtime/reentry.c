/* SPDX-License-Identifier: MIT */
/*
 * Re-entrant handles: the handle counts, whatever threads call. An acquisition of a handle that
 * has the lock succeeds at once, and only the last release gives the lock back.
 *
 * The count is that of the inner acquisitions, those beside the first. So it is 0 whenever the
 * handle does not have the lock, and a handle that is taken and put back without the mutex
 * (held.h) needs no count: an inner acquisition ends the loan before it counts, and after that
 * every release comes by the mutex.
 *
 * A loss changes no count: whoever has acquired releases, hears of the loss by that, and the last
 * of them makes the handle free for a new acquisition.
 */
#include "acquisition.h"

bool pawl__reentry_enter(pawl_lock *lock, int *ret_err)
{
    pawl__extras *extras = lock->extras;
    if (!extras || !extras->reentrant || lock->home->gate->closing) return false;
    if (lock->state != PAWL__LOCK_HELD || !pawl__held_pin(&lock->held)) return false;
    if (pawl__held_left(&lock->held) == 0) return false; /* the ordinary way tells the loss */
    bool full = extras->nested + 1 >= PAWL_REENTRY_MAX;
    *ret_err = full ? PAWL_ERR_REENTRY : PAWL_OK;
    if (!full) extras->nested++;
    return true;
}

bool pawl__reentry_leave(pawl_lock *lock, int *ret_err)
{
    if (!pawl__lock_is_nested(lock) || lock->home->gate->closing) return false;
    lock->extras->nested--;
    bool held = lock->state == PAWL__LOCK_HELD && pawl__held_left(&lock->held) > 0;
    *ret_err = held ? PAWL_OK : PAWL_ERR_LOST;
    return true;
}
