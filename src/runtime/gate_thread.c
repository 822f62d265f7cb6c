/* SPDX-License-Identifier: MIT */
/*
 * The client's own thread.
 *
 * It sleeps while callers own the loop, longer each time: a thread that woke for each acquisition
 * of each client would cost a contended fleet more than the locks themselves. While it sleeps
 * nobody reads what the store says; only these cannot wait for it, and who gives up the loop
 * wakes it for them: what is due (renewals), asynchronous operations, and pushes of which a
 * caller wants to hear at once (events, retained leases).
 */
#include "clock.h"
#include "gate_inside.h"
#include "pawl/types.h"
#include "thread.h"

/* How long it may sleep; patience: at most, if nothing is due. */
static int64_t look_span(const pawl__gate *gate, int64_t patience, bool busy)
{
    if (gate->cycling && busy) return PAWL__DEFER_NS;
    /* Who owns the loop, or is about to, wakes us if need be when it is given up. */
    if (!pawl__gate_may_own(gate)) return patience;
    int64_t due_in = gate->ops->due(gate->ctx) - pawl__now();
    if (gate->hears_at_once) patience = PAWL__LOOK_FIRST_NS;
    return pawl__instant_min(patience, due_in > 0 ? due_in : 0);
}

static bool has_work(const pawl__gate *gate)
{
    if (!pawl__gate_may_own(gate)) return false;
    if (gate->handed_over || gate->async_pending > 0) return true;
    if (gate->ops->awaited(gate->ctx, PAWL__AWAITS_TURN)) return true;
    return gate->ops->due(gate->ctx) <= pawl__now();
}

/* Returns when there is something to do. busy: callers owned the loop during the last sleep. */
static void stay_away(pawl__gate *gate, int64_t *patience)
{
    bool busy = true;
    do {
        uint64_t seen = gate->takes;
        int64_t span_ns = look_span(gate, *patience, busy);
        if (span_ns == *patience) *patience = pawl__instant_min(span_ns * 2, PAWL__LOOK_MAX_NS);
        gate->thread_looks_at = pawl__now() + span_ns;
        pawl__gate_wait_ns(gate, &gate->thread_cond, span_ns);
        gate->thread_looks_at = 0;
        busy = gate->takes != seen;
        if (gate->owned && !busy) gate->ops->overdue(gate->ctx);
    } while (!gate->stop && !has_work(gate) && (busy || !pawl__gate_may_own(gate)));
}

static void *run(void *arg)
{
    pawl__gate *gate = arg;
    int64_t patience = PAWL__LOOK_FIRST_NS;
    pthread_mutex_lock(&gate->mutex);
    while (!gate->stop) {
        int64_t since = pawl__now();
        if (pawl__gate_may_own(gate)) pawl__gate_own(gate, NULL, PAWL__NEVER);
        /* Callers that come back soon will do so again: it stays away for longer. */
        if (pawl__now() - since > PAWL__LOOK_MAX_NS) patience = PAWL__LOOK_FIRST_NS;
        if (!gate->stop) stay_away(gate, &patience);
    }
    pthread_mutex_unlock(&gate->mutex);
    return NULL;
}

int pawl__gate_start_thread(pawl__gate *gate)
{
    gate->has_thread = true; /* it reads this */
    int err = pawl__thread_start(&gate->thread, "pawl", run, gate);
    if (err) gate->has_thread = false;
    return err;
}
