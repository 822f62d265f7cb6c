/* SPDX-License-Identifier: MIT */
/*
 * Re-entrant handles: the handle counts, no matter which threads call. An acquisition of a handle
 * that has the lock succeeds at once, and only the last release gives the lock back.
 *
 * Only inner acquisitions are counted, not the first. So the count is 0 whenever the handle does
 * not have the lock, and taking and putting back without the mutex (held.h) needs no count: an
 * inner acquisition first ends the loan, and after that every release takes the mutex.
 *
 * A loss does not change the count: each caller that has acquired releases, and so learns of the
 * loss; the last release makes the handle free for a new acquisition.
 */
#include "acquisition.h"

bool pawl__reentry_enter(pawl_lock *lock, int *ret_err)
{
    pawl__extras *extras = lock->extras;
    if (!extras || !extras->reentrant || lock->home->gate->closing) return false;
    if (lock->state != PAWL__LOCK_HELD || !pawl__held_pin(&lock->held)) return false;
    if (pawl__held_left(&lock->held) == 0)
        return false; /* the ordinary acquisition tells the loss */
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
