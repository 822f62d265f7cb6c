/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "pump.h"

#include "../base/instant.h"

#include <event2/event.h>
#include <poll.h>
#include <sched.h>
#include <unistd.h>

#define BROKEN_POLL_MS 100

/* ---- The engine and the store ---------------------------------------------------------------- */

void pawl__pump_submit(pawl__pump *pump, const pawl_request *request)
{
    pump->store_ops->submit(pump->store, request);
    pawl__gate_sent(pump->gate);
    pump->unflushed = true;
    if (pump->trace->hears & PAWL__TRACE_REQUESTS) pawl__trace_request(pump->trace, request);
}

/* Law 10: the user must be told. Mutex held. */
static void tell_broken(pawl__pump *pump)
{
    pawl_trace event = {.kind = PAWL_TRACE_BROKEN, .message = pump->messages->latest};
    pawl__trace_tell(pump->trace, &event);
}

/* The pump whose engine runs a step on this thread. */
static _Thread_local pawl__pump *stepping;

void pawl__pump_say_broken(const char *what)
{
    pawl__pump *pump = stepping;
    if (!pump) return;
    pthread_mutex_lock(&pump->gate->mutex);
    pawl__set_message(pump->messages, "an invariant of pawl is broken, all locks are lost: %s",
                      what);
    tell_broken(pump);
    pthread_mutex_unlock(&pump->gate->mutex);
}

static void step(pawl__pump *pump, const pawl__event *event)
{
    stepping = pump;
    pawl__engine_step(pump->engine, pawl__now(), event);
    stepping = NULL;
}

static void act(pawl__pump *pump, const pawl__action *action)
{
    if (action->kind != PAWL__ACT_SEND) {
        pump->ops->action(pump->client, action);
        return;
    }
    if (pump->failed) return; /* law 10: without a good token nothing leaves */
    pawl__pump_submit(pump, &action->request);
}

/* Runs inside a step of the engine. Loop owned, mutex not held. */
void pawl__pump_lease_moved(void *ctx, const char *name, pawl_lease_state from, pawl_lease_state to)
{
    const pawl__pump *pump = ctx;
    pawl_trace event = {.kind = PAWL_TRACE_LEASE, .name = name, .from = from, .to = to};
    pawl__trace_tell_outside(pump->trace, &event);
}

void pawl__pump_feed(pawl__pump *pump, const pawl__event *event)
{
    if (!pump->engine) return;
    step(pump, event);
    pawl__action action;
    while (pawl__engine_next(pump->engine, &action)) {
        if (pump->together) action.request.flags |= PAWL_ASK_TOGETHER;
        act(pump, &action);
    }
}

/* ---- Work ------------------------------------------------------------------------------------ */

/* Something failed that must not fail: tells everybody that nothing is held, and sends nothing
 * more. */
static void shut_down(pawl__pump *pump)
{
    pump->engine = pawl__engine_free(pump->engine);
    pump->broken = true;
    pump->gate->spin.allowed = false; /* nothing will come */
    pump->break_err = PAWL_ERR_SYSTEM;
    pump->ops->end(pump->client, PAWL_ERR_SYSTEM);
    pawl__set_message(pump->messages,
                      "the system has no random numbers or no events for us: all locks are lost");
    tell_broken(pump);
}

static bool is_due(int64_t at, int64_t now)
{
    return at != PAWL__NEVER && at <= now;
}

/* Mutex not held. */
static void account_time(pawl__pump *pump)
{
    static const pawl__event time_passed = {.kind = PAWL__EV_TIME};
    if (!pump->time_due) return;
    pump->time_due = false;
    if (pawl__trace_hears(pump->trace, PAWL_TRACE_DRIFT))
        pawl__trace_drift(pump->trace, pawl__now_drift());
    int64_t now = pawl__now();
    if (pump->engine && is_due(pawl__engine_deadline(pump->engine), now))
        pawl__pump_feed(pump, &time_passed);
    pump->ops->time(pump->client, now);
}

void pawl__pump_work(pawl__pump *pump)
{
    do {
        pump->ops->take_asked(pump->client);
        pump->calm = pump->gate->async_pending == 0;
        pthread_mutex_unlock(&pump->gate->mutex);
        account_time(pump);
        if (pump->unflushed && !pump->gate->release_alone) {
            pump->unflushed = false;
            pump->store_ops->flush(pump->store);
        }
        pawl__gate_rouse(pump->gate);
        pthread_mutex_lock(&pump->gate->mutex);
        if (pump->failed && !pump->broken) shut_down(pump);
    } while (pump->ops->is_asked(pump->client));
}

/* ---- Rest ------------------------------------------------------------------------------------ */

static int64_t due(const void *ctx)
{
    const pawl__pump *pump = ctx;
    int64_t at = pump->ops->due(pump->client);
    return pump->engine ? pawl__instant_min(at, pawl__engine_deadline(pump->engine)) : at;
}

/* After a shut-down the loop may be the part that failed. Only a wake-up matters now. */
static void wait_broken(const pawl__pump *pump)
{
    struct pollfd wake = {.fd = pump->gate->wake_fd, .events = POLLIN};
    uint64_t count;
    if (poll(&wake, 1, BROKEN_POLL_MS) > 0 && read(wake.fd, &count, sizeof count) < 0) return;
}

/* Notices what is due before the sleep. Returns the flags for the loop. */
static int set_alarm(pawl__pump *pump, int64_t until, int flags)
{
    int64_t at = pawl__instant_min(until, due(pump));
    if (at == PAWL__NEVER || at >= pump->alarm.at) return flags;
    int64_t boot, now = pawl__now_and_boot(&boot);
    pump->time_due = at <= now;
    if (pump->time_due) return EVLOOP_NONBLOCK;
    pawl__alarm_set(&pump->alarm, now, boot, at);
    return flags;
}

static void rest(void *ctx, int64_t until, pawl__rest how)
{
    pawl__pump *pump = ctx;
    pthread_mutex_unlock(&pump->gate->mutex);
    int flags = how == PAWL__REST_SLEEP ? EVLOOP_ONCE : EVLOOP_NONBLOCK;
    if (how != PAWL__REST_LOOK) flags = set_alarm(pump, until, flags);
    if (!pump->broken)
        pump->failed |= event_base_loop(pump->base, flags) < 0;
    else if (how != PAWL__REST_LOOK)
        wait_broken(pump);
    /* The store may need this very processor. */
    if (how == PAWL__REST_SPIN && pawl__spin_goes_on(&pump->gate->spin)) sched_yield();
    pthread_mutex_lock(&pump->gate->mutex);
}

/* ---- What is awaited ------------------------------------------------------------------------- */

static bool awaits_store(const pawl__pump *pump)
{
    if (!pump->engine) return true; /* callers alone do what is left to do */
    return pump->gate->spin.under_way > 0 || pump->ops->awaits_link(pump->client) ||
           pawl__engine_awaits_store(pump->engine);
}

static bool awaited(const void *ctx, unsigned kinds)
{
    const pawl__pump *pump = ctx;
    const pawl__engine *engine = pump->engine;
    if (kinds & PAWL__AWAITS_TURN && pump->ops->is_asked(pump->client)) return true;
    if (kinds & PAWL__AWAITS_STORE && awaits_store(pump)) return true;
    if (!engine) return false;
    if (kinds & PAWL__AWAITS_RENEWAL && pawl__engine_tends(engine)) return true;
    if (kinds & PAWL__AWAITS_RELEASE && pump->link_up && pawl__engine_releases(engine)) return true;
    return kinds & PAWL__AWAITS_REST && pawl__engine_busy(engine);
}

static void work(void *ctx)
{
    pawl__pump_work(ctx);
}

static void overdue(void *ctx)
{
    pawl__pump *pump = ctx;
    pump->ops->overdue(pump->client);
}

static bool comes_back(const void *ctx)
{
    const pawl__pump *pump = ctx;
    return pump->ops->comes_back(pump->client);
}

const pawl__gate_ops pawl__pump_gate_ops = {.work = work,
                                            .rest = rest,
                                            .due = due,
                                            .awaited = awaited,
                                            .overdue = overdue,
                                            .comes_back = comes_back};
