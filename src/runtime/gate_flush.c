/* SPDX-License-Identifier: MIT */
/*
 * Decides when a request is sent.
 *
 * Usually at once, by the thread that asks: it owns the loop for that moment.
 *
 * A release that others wait for is sent by itself (release_alone): if our next request came right
 * behind it, the store would handle that, too, before it told the next holder. So other requests
 * are held back until the release is answered, but only while the owner looks for that answer
 * anyway: they are sent before the owner sleeps, and before the loop gets another owner.
 */
#include "clock.h"
#include "gate_inside.h"

/*
 * Owner. When callers wait only for each other, nobody reads pushes. So before one caller passes
 * the lock to the next, we look whether other clients want it, too (the limits of local sharing
 * count from the moment at which we know of them).
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

void pawl__gate_flush_release(pawl__gate *gate)
{
    pawl__gate_flush_now(gate);
    if (!pawl__gate_may_own(gate) || gate->exiting) return;
    bool nobody_is_held_up = gate->async_pending == 0 && pawl__list_empty(&gate->waiters);
    gate->release_alone = nobody_is_held_up && gate->spin.under_way > 0;
}
