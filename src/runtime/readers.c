/* SPDX-License-Identifier: MIT */
/*
 * Readers of one client that hold at the same time. They share one lease, so a reader that comes
 * back while another one holds need not ask anybody: its release becomes a loan (held.h), and it
 * takes and puts back without the mutex. For the engine it holds all the time.
 *
 * A loan depends on another reader that *stays*: it holds and has not lent its hold. So the lease
 * is needed anyway during the loans, and nobody waits longer because of them. When the reader that
 * stays releases, and before the engine is told, the loans of all others are recalled: those that
 * nobody uses are released together with it, the others become ordinary holders, and one of them
 * may stay.
 *
 * What else ends a loan is the same as for retained leases (retention.c): somebody waits, a
 * doubt, a loss, the close, and freeing the handle.
 *
 * If holds are traced nothing is lent, because each hold must be told.
 */
#include "acquisition.h"

#include <stdlib.h>

static pawl__acquisition *of_want(pawl__want *want)
{
    return pawl__container(want, pawl__acquisition, want);
}

static bool has_it(const pawl__acquisition *a)
{
    const pawl_lock *lock = pawl__acquisition_lock(a);
    bool held = lock->acquisition == a && lock->state == PAWL__LOCK_HELD && !a->let_go;
    return held && !pawl__held_is_lent(&lock->held);
}

/* Whether another acquisition stays. */
static bool another_stays(const pawl__acquisition *a)
{
    const pawl__acquisition *stays = a->reading->stays;
    return stays && stays != a && has_it(stays);
}

/* Notes that both read through the lease of the first; false: out of memory. */
static bool join(pawl__acquisition *first, pawl__acquisition *a)
{
    if (!first->reading) {
        first->reading = calloc(1, sizeof *first->reading);
        if (!first->reading) return false;
        first->reading->refs = 1;
    }
    if (a->reading) return true; /* the other one has done this already */
    a->reading = first->reading;
    a->reading->refs++;
    return true;
}

/* Another reader that shares the lease; NULL: nobody. */
static pawl__acquisition *another(const pawl__acquisition *a)
{
    pawl__want *first = pawl__want_holder_at(&a->want, 0);
    if (first == &a->want) first = pawl__want_holder_at(&a->want, 1);
    return first ? of_want(first) : NULL;
}

void pawl__reader_comes(pawl__acquisition *a)
{
    if (a->want.mode != PAWL_MODE_SHARED) return;
    pawl__acquisition *other = another(a);
    if (!other || !join(other, a) || another_stays(a)) return;
    a->reading->stays = has_it(other) ? other : a;
}

bool pawl__reader_lends(pawl_lock *lock)
{
    pawl__acquisition *a = lock->acquisition;
    if (lock->state != PAWL__LOCK_HELD || !a->reading || !another_stays(a)) return false;
    if (pawl__lock_is_traced(lock) || !pawl__may_lend(lock)) return false;
    if (!pawl__held_lend(&lock->held, NULL)) return false;
    a->calls &= (uint8_t) ~(PAWL__CALL_EVENTS & ~PAWL__CALL_LOST);
    return true;
}

/* Its user has released it before whatever is asked for now, so the engine is told of it first. */
static void recall(pawl__acquisition *a)
{
    pawl_lock *lock = pawl__acquisition_lock(a);
    if (lock->acquisition != a) return;
    pawl__retention_recall(lock);
    if (lock->acquisition) return; /* somebody reads */
    pawl__list_remove(&a->in_asked);
    pawl__list_prepend(&lock->home->asked, &a->in_asked);
}

void pawl__readers_recall(const pawl__acquisition *a)
{
    if (!a->reading || another_stays(a)) return;
    pawl__want *want;
    for (uint32_t i = 0; (want = pawl__want_holder_at(&a->want, i)); i++) recall(of_want(want));
}
