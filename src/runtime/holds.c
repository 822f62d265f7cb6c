/* SPDX-License-Identifier: MIT */
/*
 * For how long a handle has its lock, for readers of the trace. For each hold whose beginning was
 * told, the end is told once, by the function that takes the acquisition from its handle.
 *
 * A retained lease is taken and put back without the mutex and without an event, up to millions of
 * times a second. The metrics count these, too, because they are atomics; the trace is told when
 * the loan begins and ends, and how often it was used.
 */
#include "acquisition.h"

static void tell(const pawl_lock *lock, pawl_trace *event)
{
    event->name = lock->name;
    pawl__trace_tell(lock->home->trace, event);
}

void pawl__hold_begins(pawl_lock *lock)
{
    if (!pawl__lock_is_traced(lock)) return;
    atomic_store_explicit(&lock->extras->held_since, pawl__now(), memory_order_relaxed);
}

void pawl__hold_tell_end(pawl_lock *lock, pawl_trace_kind kind, pawl_err err, const char *message)
{
    pawl__hold_is_recalled(lock, true);
    if (pawl__lock_is_several(lock)) return; /* its parts tell it */
    if (!pawl__trace_hears(lock->home->trace, kind)) return;
    int64_t since = pawl__hold_since(lock); /* 0: only the log reads it */
    pawl_trace event = {.kind = kind,
                        .err = err,
                        .message = message,
                        .fence = atomic_load(&lock->fence),
                        .span_ns = since ? pawl__now() - since : 0};
    tell(lock, &event);
}

void pawl__hold_given_up(pawl_lock *lock)
{
    if (pawl__held_end(&lock->held))
        pawl__hold_ends(lock, PAWL_TRACE_RELEASED, PAWL_OK, NULL);
    else
        pawl__hold_ends(lock, PAWL_TRACE_LOST, PAWL_ERR_LOST, NULL);
}

/* ---- Loans ---------------------------------------------------------------------------------- */

void pawl__hold_is_lent(pawl_lock *lock, int64_t since)
{
    if (!pawl__lock_is_traced(lock)) return;
    if (lock->extras->loan_told) { /* it was put back with the mutex */
        pawl__hold_put_back(lock, since);
        return;
    }
    lock->extras->loan_told = true;
    pawl_trace event = {.kind = PAWL_TRACE_RETAINED, .span_ns = pawl__now() - since};
    tell(lock, &event);
}

void pawl__hold_is_recalled(pawl_lock *lock, bool held)
{
    pawl__extras *extras = lock->extras;
    if (!pawl__lock_is_traced(lock) || !extras->loan_told) return;
    extras->loan_told = false;
    pawl_trace event = {.kind = PAWL_TRACE_RECALLED,
                        .held = held,
                        .count = atomic_exchange_explicit(&extras->uses, 0, memory_order_relaxed)};
    tell(lock, &event);
}

/* ---- Any thread ----------------------------------------------------------------------------- */

void pawl__hold_taken(pawl_lock *lock)
{
    pawl__extras *extras = lock->extras;
    atomic_store_explicit(&extras->held_since, pawl__now(), memory_order_relaxed);
    atomic_fetch_add_explicit(&extras->uses, 1, memory_order_relaxed);
    if (extras->counts) pawl__metrics_taken(extras->counts);
}

void pawl__hold_put_back(pawl_lock *lock, int64_t since)
{
    if (lock->extras->counts) pawl__metrics_put_back(lock->extras->counts, pawl__now() - since);
}
