/* SPDX-License-Identifier: MIT */
/*
 * Loans of retained leases. readers.c explains the loans of readers; they end in the same way.
 *
 * Retained leases: a handle with retain_ms that is released and acquired again while nobody else
 * wants the lock. For the engine the lease is held all the time: it renews the lease, and watches
 * its deadline. Only the word of the handle (held.h) says whether the caller has it.
 *
 * A loan begins with a release and ends with a recall: somebody here or elsewhere wants the lock,
 * the renewal is overdue, the lease is lost, the client closes, the handle is freed, or the
 * retention is over. If nobody holds it then, the acquisition is taken from the handle and the
 * engine is told of a release. Else the next release is an ordinary one and tells the engine.
 *
 * Law 6: a loan is one acquisition, however often it was used; if the word says that it is held, a
 * loss is told and ends the acquisition.
 *
 * The timer of the retention belongs to the loop owner, and using the loan does not change it: when
 * it fires it looks at the instant of the latest release, and is set for the rest. If the lock is
 * held then, it ends the loan, and the next release lends again: so a lock that is held for long
 * needs no more timers.
 */
#include "acquisition.h"

#include "../base/instant.h"

/* ---- Loans, mutex held ---------------------------------------------------------------------- */

bool pawl__may_lend(const pawl_lock *lock)
{
    const pawl__acquisitions *home = lock->home;
    if (home->gate->closing || home->gate->exiting || home->pump->broken) return false;
    if (lock->state != PAWL__LOCK_HELD) return false;
    const pawl__acquisition *a = lock->acquisition;
    return !a->wanted && !(a->calls & PAWL__CALL_ACQUIRED);
}

bool pawl__retention_lend(pawl_lock *lock)
{
    int64_t since = pawl__hold_since(lock); /* read before anybody can take it again */
    if (!pawl__lock_retains(lock) || !pawl__may_lend(lock)) return false;
    if (!pawl__held_lend(&lock->held, &lock->extras->put_back_at)) return false;
    pawl__hold_is_lent(lock, since);
    lock->acquisition->calls &= (uint8_t) ~(PAWL__CALL_EVENTS & ~PAWL__CALL_LOST);
    pawl__acquisition_ask(lock->acquisition, PAWL__ASK_LEND);
    return true;
}

void pawl__retention_recall(pawl_lock *lock)
{
    if (!pawl__lock_lends(lock)) return;
    bool is_held = !pawl__held_recall(&lock->held);
    pawl__hold_is_recalled(lock, is_held);
    if (is_held) return;
    pawl__acquisition *a = lock->acquisition;
    a->let_go = true;
    a->was_retained = pawl__lock_retains(lock); /* not for a reader, which has no retention time */
    lock->acquisition = NULL;
    lock->state = PAWL__LOCK_IDLE;
    pawl__acquisition_ask(a, PAWL__ASK_RELEASE);
}

void pawl__retention_recall_all(pawl__acquisitions *home)
{
    for (pawl__link *l = home->all.next; l != &home->all; l = l->next)
        pawl__retention_recall(pawl__acquisition_lock(pawl__acquisition_of(l)));
}

void pawl__retention_refuse(pawl__acquisition *a)
{
    a->wanted = true;
    pawl_lock *lock = pawl__acquisition_lock(a);
    if (lock->acquisition == a) pawl__retention_recall(lock);
}

/* ---- The timer ----------------------------------------------------------------------------- */

static int64_t retention_end(const pawl_lock *lock)
{
    int64_t from = atomic_load_explicit(&lock->extras->put_back_at, memory_order_relaxed);
    return pawl__instant_add(from, pawl__ms_to_ns(lock->extras->retain_ms));
}

void pawl__retention_arm(pawl__acquisition *a)
{
    pawl_lock *lock = pawl__acquisition_lock(a);
    pawl__acquisitions *home = lock->home;
    pawl__extras *extras = lock->extras;
    if (pawl__heap_reserve(&home->timers, home->timers.count + 1)) {
        extras->lent = a;
        pawl__heap_set(&home->timers, &extras->timer, retention_end(lock));
        return;
    }
    pthread_mutex_lock(&home->gate->mutex);
    pawl__retention_refuse(a); /* else nobody would end its retention */
    pthread_mutex_unlock(&home->gate->mutex);
}

void pawl__retention_disarm(pawl__acquisition *a)
{
    pawl_lock *lock = pawl__acquisition_lock(a);
    pawl__extras *extras = lock->extras;
    if (!extras || extras->lent != a) return;
    extras->lent = NULL;
    pawl__heap_clear(&lock->home->timers, &extras->timer);
}

/* Mutex held. */
static void look_after(pawl__acquisitions *home, pawl__extras *extras, int64_t now)
{
    pawl__acquisition *a = extras->lent;
    pawl_lock *lock = pawl__acquisition_lock(a);
    int64_t end = retention_end(lock);
    bool rests = lock->acquisition == a && pawl__held_is_retained(&lock->held);
    if (rests && end > now) {
        pawl__heap_set(&home->timers, &extras->timer, end);
        return;
    }
    pawl__retention_disarm(a);
    if (lock->acquisition == a) pawl__retention_recall(lock);
}

void pawl__retention_time(pawl__acquisitions *home, int64_t now)
{
    pthread_mutex_lock(&home->gate->mutex);
    for (pawl__timer *first; (first = pawl__heap_first(&home->timers)) && first->at <= now;)
        look_after(home, pawl__container(first, pawl__extras, timer), now);
    pthread_mutex_unlock(&home->gate->mutex);
}

int64_t pawl__retention_deadline(const pawl__acquisitions *home)
{
    const pawl__timer *first = pawl__heap_first(&home->timers);
    return first ? first->at : PAWL__NEVER;
}

int64_t pawl__retention_left_ms(const pawl__acquisition *a)
{
    int64_t left = retention_end(pawl__acquisition_lock(a)) - pawl__now();
    return left > 0 ? left / PAWL__NS_PER_MS : 0;
}
