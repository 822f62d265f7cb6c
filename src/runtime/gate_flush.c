/* SPDX-License-Identifier: MIT */
/*
 * When something that was asked leaves.
 *
 * At once, by the thread that asks: it owns the loop for that moment.
 *
 * A release that others wait for is sent by itself (release_alone): a store that found our next
 * request behind it would see to that one, too, before it told the next holder. So whatever else
 * is to leave is held back until the release is answered, but only while the owner looks for that
 * answer anyway: it leaves before the owner sleeps, and before the loop changes hands.
 *
 * A release may wait for the next request, to leave with it in one write (flush_later): only of
 * a lock for which neither this client nor, as far as is known, anybody else has waited, only if
 * the latest acquisition followed such a release within PAWL__DEFER_NS, so that the next one
 * probably does too, and only while the client's thread looks every PAWL__DEFER_NS: it sends what
 * has waited. Whatever else is asked takes it along, and so do close and the normal end of the
 * process.
 */
#include "clock.h"
#include "gate_inside.h"

/*
 * Owner. Callers wait for each other, and so nobody listens: before one of them gives the lock to
 * the next we look whether others want it, too (the fairness of local sharing counts from when we
 * hear of them).
 */
static void listen(pawl__gate *gate)
{
    if (pawl__list_empty(&gate->waiters)) return;
    int64_t now = pawl__now();
    if (now - gate->looked_at < PAWL__LOOK_FIRST_NS) return;
    gate->looked_at = now;
    pawl__gate_rest(gate, now, PAWL__REST_LOOK);
}

static void flush_before_exit(pawl__gate *gate)
{
    int64_t until = pawl__instant_add(pawl__now(), PAWL__EXIT_ANSWER_NS);
    if (gate->closing || !pawl__gate_take(gate, until)) return;
    pawl__gate_drain(gate, until);
    pawl__gate_give(gate);
}

void pawl__gate_flush_now(pawl__gate *gate)
{
    if (gate->exiting) {
        flush_before_exit(gate);
        return;
    }
    if (!pawl__gate_may_own(gate)) {
        pawl__gate_wake_owner(gate);
        return;
    }
    gate->takes++;
    gate->owned = true;
    listen(gate);
    pawl__gate_work_at_once(gate);
    pawl__gate_pass_on(gate);
}

void pawl__gate_flush_later(pawl__gate *gate)
{
    int64_t now = pawl__now();
    bool thread_looks = gate->thread_looks_at > 0 && gate->thread_looks_at <= now + PAWL__DEFER_NS;
    gate->released_at = now;
    bool waits = gate->cycling && thread_looks && !gate->exiting;
    if (waits && pawl__list_empty(&gate->waiters) && pawl__gate_may_own(gate)) return;
    pawl__gate_flush_now(gate);
}

void pawl__gate_flush_release(pawl__gate *gate)
{
    gate->released_at = 0; /* no loop of releases that could wait */
    pawl__gate_flush_now(gate);
    if (!pawl__gate_may_own(gate) || gate->exiting) return;
    bool nobody_is_held_up = gate->async_pending == 0 && pawl__list_empty(&gate->waiters);
    gate->release_alone = nobody_is_held_up && gate->spin.under_way > 0;
}

void pawl__gate_note_acquire(pawl__gate *gate)
{
    int64_t now = gate->released_at ? pawl__now() : 0;
    gate->cycling = gate->released_at && now - gate->released_at < PAWL__DEFER_NS;
    if (gate->cycling && gate->thread_looks_at > now + PAWL__DEFER_NS) pawl__gate_wake_thread(gate);
}
