/* SPDX-License-Identifier: MIT */
/*
 * The client's own thread.
 *
 * It sleeps while callers own the loop, longer each time: if it woke for each acquisition, that
 * would cost many contending clients more than the locks themselves. While it sleeps nobody reads
 * what the store sends. Only these cannot wait, and the thread that gives up the loop wakes it for
 * them: what is due (renewals), asynchronous operations, and pushes that a caller needs at once
 * (events, retained leases).
 *
 * Close, exit and fork have the loop before all others. But a thread that wants it may be stopped,
 * by a signal handler for instance, before it takes it, and neither renewals nor losses may wait
 * for that (law 6). So while the loop stays free, the client's thread does a turn now and then.
 */
#include "clock.h"
#include "gate_inside.h"
#include "pawl/types.h"
#include "thread.h"

/* How soon it sees that a thread which wants the loop before all others does not take it. */
#define PROMISED_LOOK_NS (10 * PAWL__NS_PER_MS)

/* Somebody wants the loop before all others, and has not taken it yet. */
static bool is_promised(const pawl__gate *gate)
{
    return !gate->owned && gate->owner_wanted > 0;
}

/* How long it may sleep from now on; patience: the longest sleep if nothing is due. */
static int64_t look_span(const pawl__gate *gate, int64_t now, int64_t patience)
{
    if (is_promised(gate)) return PROMISED_LOOK_NS;
    /* The thread that owns the loop wakes us if needed when it gives the loop up. */
    if (!pawl__gate_may_own(gate)) return patience;
    int64_t due_in = gate->ops->due(gate->ctx) - now;
    if (gate->hears_at_once) patience = PAWL__LOOK_FIRST_NS;
    return pawl__instant_min(patience, due_in > 0 ? due_in : 0);
}

/* has_relied: the thread of the callbacks had the loop, and may want it again at once. */
static bool has_work(const pawl__gate *gate, bool has_relied)
{
    if (!pawl__gate_may_own(gate)) return false;
    if (gate->handed_over || (gate->async_pending > 0 && !has_relied)) return true;
    if (gate->ops->awaited(gate->ctx, PAWL__AWAITS_TURN)) return true;
    return gate->ops->due(gate->ctx) <= pawl__now();
}

/* One sleep. Others rely on its end: it comes no later, also if we are stopped on the way to it. */
static void sleep_away(pawl__gate *gate, int64_t until)
{
    gate->thread_looks_at = until;
    pawl__gate_wait_until(gate, &gate->thread_cond, until);
    gate->thread_looks_at = 0;
}

/*
 * Returns when there is something to do. busy: others owned the loop during the last sleep. relies:
 * the thread of the callbacks has owned it all the time, and wakes us when it gives it up. It is as
 * reliable as we are, so nobody looks after it.
 */
static void stay_away(pawl__gate *gate, int64_t *patience)
{
    bool busy = true, relies = false;
    do {
        uint64_t seen = gate->takes;
        relies = gate->for_calls && !busy;
        int64_t now = pawl__now();
        int64_t span_ns = relies ? PAWL__NEVER : look_span(gate, now, *patience);
        if (span_ns == *patience) *patience = pawl__instant_min(span_ns * 2, PAWL__LOOK_MAX_NS);
        sleep_away(gate, pawl__instant_add(now, span_ns));
        busy = relies || gate->takes != seen;
        if (gate->owned && !busy) gate->ops->overdue(gate->ctx);
    } while (!gate->stop && !has_work(gate, relies) && (busy || gate->owned));
}

/* One turn that keeps nobody waiting: sends what was asked or is due, and reads what was said. */
static void stand_in(pawl__gate *gate)
{
    gate->owned = true;
    pawl__gate_rest(gate, pawl__now(), PAWL__REST_SPIN);
    pawl__gate_work_at_once(gate);
    pawl__gate_pass_on(gate);
}

static void *run(void *arg)
{
    pawl__gate *gate = arg;
    int64_t patience = PAWL__LOOK_FIRST_NS;
    pthread_mutex_lock(&gate->mutex);
    while (!gate->stop) {
        int64_t since = pawl__now();
        if (is_promised(gate))
            stand_in(gate);
        else if (!gate->owned)
            pawl__gate_own(gate, NULL, PAWL__NEVER);
        /* Callers that come back soon will probably do so again: then it sleeps longer. */
        if (pawl__now() - since > PAWL__LOOK_MAX_NS) patience = PAWL__LOOK_FIRST_NS;
        if (!gate->stop) stay_away(gate, &patience);
    }
    pthread_mutex_unlock(&gate->mutex);
    return NULL;
}

int pawl__gate_start_thread(pawl__gate *gate)
{
    gate->has_thread = true; /* the thread reads this */
    int err = pawl__thread_start(&gate->thread, "pawl", run, gate);
    if (err) gate->has_thread = false;
    return err;
}
