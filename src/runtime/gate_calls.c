/* SPDX-License-Identifier: MIT */
/*
 * The thread of the callbacks in the loop.
 *
 * A callback that gives its lock back and asks for it again is the usual program of asynchronous
 * calls. If the client's thread alone owned the loop meanwhile, each such round would cross threads
 * three times: the answer wakes the thread of the callbacks, and both requests wake the client's
 * thread. So when nothing is left to run, and one operation alone is under way, the thread of the
 * callbacks waits for it in the loop. With several under way the loop stays with the client's
 * thread, which serves them while callbacks run.
 *
 * It leaves the loop before it runs a callback: a callback that takes long keeps neither renewals
 * nor the answers of others from anybody (the client's thread looks after them meanwhile). Unlike a
 * caller it may sleep in the loop while the client holds leases: it is a thread of ours, and no
 * handler of a signal runs on it.
 */
#include "gate_inside.h"

static bool may_await(const pawl__gate *gate)
{
    return gate->async_pending == 1 && pawl__gate_may_own(gate) && !gate->handed_over;
}

bool pawl__gate_own_for_calls(pawl__gate *gate)
{
    gate->has_calls_thread = true;
    if (may_await(gate)) {
        pawl__waiter waiter;
        pawl__waiter_init(&waiter);
        waiter.is_ours = true;
        gate->takes++;
        /* cppcheck-suppress autoVariables ; taken back below */
        gate->for_calls = &waiter;
        pawl__gate_own(gate, &waiter, PAWL__NEVER);
        gate->for_calls = NULL;
        return true;
    }
    /* While our callback ran, nobody was woken for the operation that it began. */
    if (pawl__gate_may_own(gate)) pawl__gate_pass_on(gate);
    return false;
}

void pawl__gate_async_ended(pawl__gate *gate)
{
    gate->async_pending--;
    /* The client's thread leaves the loop if no other is left: the callback may ask next. */
    if (gate->has_calls_thread) gate->has_served = true;
}

void pawl__gate_call(pawl__gate *gate)
{
    if (!gate->for_calls) return;
    gate->for_calls->complete = true;
    if (!gate->serving) pawl__gate_wake_owner(gate); /* else it is awake, and looks */
}
