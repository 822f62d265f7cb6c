/* SPDX-License-Identifier: MIT */
/*
 * One turn of a driver: everything that was asked goes to the engine, what the
 * engine wants goes to the store in one write, then the event loop sleeps. Each
 * event is put to the engine with an instant of its own, read just before: an
 * instant that is older than the event could only make leases shorter, but one
 * that is newer than a request's departure would make them longer (law 2).
 */
#define _GNU_SOURCE
#include "runtime.h"

#include <event2/event.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BROKEN_POLL_MS 100

void pawl__turn_submit(pawl_client *c, const pawl_request *request)
{
    c->ops->submit(c->store, request);
    pawl__gate_sent(&c->gate);
    c->unflushed = true;
}

/* ---- Feeding the engine --------------------------------------------------------------------- */

static void act(pawl_client *c, const pawl__action *action)
{
    if (action->kind != PAWL__ACT_SEND) {
        pawl__claim_act(c, action);
        return;
    }
    if (c->failed) return; /* law 10: without a good token nothing leaves */
    pawl__turn_submit(c, &action->request);
}

void pawl__turn_feed(pawl_client *c, const pawl__event *event)
{
    if (!c->engine) return;
    pawl__client_step(c, event);
    pawl__action action;
    while (pawl__engine_next(c->engine, &action)) act(c, &action);
}

static void feed_want(pawl_client *c, pawl__event_kind kind, pawl__claim *claim, bool await_store)
{
    pawl__event event = {.kind = kind, .want = &claim->want, .await_store = await_store};
    pawl__turn_feed(c, &event);
}

/* One wish of a claim that the engine knows. It ignores what comes too late. */
static void tell(pawl_client *c, pawl__claim *claim, unsigned wish, bool await_store)
{
    switch (wish) {
    case PAWL__ASK_WANT:
        feed_want(c, PAWL__EV_WANT, claim, false);
        return;
    case PAWL__ASK_CANCEL:
        feed_want(c, PAWL__EV_CANCEL, claim, false);
        return;
    case PAWL__ASK_LEND:
        pawl__cached_arm(c, claim);
        return;
    }
    pawl__cached_disarm(claim);
    if (claim->was_cached) claim->want.retain_ms = (int32_t)pawl__cached_retain_ms(claim);
    feed_want(c, wish == PAWL__ASK_RELEASE ? PAWL__EV_RELEASE : PAWL__EV_DETACH, claim,
              await_store);
}

/* ---- Work ----------------------------------------------------------------------------------- */

static void tell_claim(pawl_client *c, pawl__claim *claim);

/*
 * A cached lease that another handle of this client wants goes back to the engine first:
 * so even one who would not wait can have it. Mutex held.
 */
static void recall_for(pawl_client *c, const pawl__claim *claim)
{
    if (!c->has_caches || !c->engine) return;
    pawl__want *want = pawl__engine_holder(c->engine, claim->want.name, claim->want.name_len);
    if (!want) return;
    pawl__claim *holder = pawl__container(want, pawl__claim, want);
    pawl__cached_refuse(holder);
    if (holder->was_cached && holder->asked) tell_claim(c, holder);
}

/*
 * Mutex held; let go while the engine works. Each wish may be the claim's end, and others may
 * free its handle meanwhile: `telling` keeps it until all is told.
 */
static void tell_claim(pawl_client *c, pawl__claim *claim)
{
    if (claim->asked & PAWL__ASK_WANT) recall_for(c, claim);
    pawl__list_remove(&claim->in_asked);
    unsigned asked = claim->asked;
    bool await_store = claim->await_store;
    claim->asked = 0;
    claim->telling = true;
    for (; asked && claim->known; asked &= asked - 1) { /* else it was decided meanwhile */
        pthread_mutex_unlock(&c->gate.mutex);
        tell(c, claim, asked & -asked, await_store);
        pthread_mutex_lock(&c->gate.mutex);
    }
    claim->telling = false;
    pawl__claim_settle(claim);
}

static void take_queries(pawl_client *c)
{
    pawl__link list = c->queries; /* the ring's ends still point at the old head */
    list.next->prev = &list;
    list.prev->next = &list;
    pawl__list_init(&c->queries);
    pthread_mutex_unlock(&c->gate.mutex);
    pawl__queries_take(c, &list);
    pthread_mutex_lock(&c->gate.mutex);
}

/* What cannot fail has failed: everybody is told that nothing is held, nothing more is sent. */
static void shut_down(pawl_client *c)
{
    c->engine = pawl__engine_free(c->engine);
    c->broken = true;
    c->gate.spin.allowed = false; /* nothing will come */
    c->break_err = PAWL_ERR_SYSTEM;
    pawl__claims_end(c, PAWL_ERR_SYSTEM);
    pawl__queries_end(c, PAWL_ERR_SYSTEM);
    pawl__client_say(c, "the system has no random numbers or no events for us: all locks are lost");
    pawl__calls_log(&c->calls, PAWL_SEVERITY_ERROR, c->message);
}

static bool is_due(int64_t at, int64_t now)
{
    return at != PAWL__NEVER && at <= now;
}

/* Mutex not held. */
static void account_time(pawl_client *c)
{
    static const pawl__event time_passed = {.kind = PAWL__EV_TIME};
    if (!c->time_due) return;
    c->time_due = false;
    int64_t now = pawl__now();
    if (c->engine && is_due(pawl__engine_deadline(c->engine), now))
        pawl__turn_feed(c, &time_passed);
    if (is_due(pawl__queries_deadline(c), now)) pawl__queries_time(c, now);
    if (is_due(pawl__cached_deadline(c), now)) pawl__cached_time(c, now);
}

static bool awaits_turn(const pawl_client *c)
{
    return !pawl__list_empty(&c->asked) || !pawl__list_empty(&c->queries);
}

void pawl__turn_work(pawl_client *c)
{
    for (;;) {
        while (!pawl__list_empty(&c->asked))
            tell_claim(c, pawl__container(c->asked.next, pawl__claim, in_asked));
        if (!pawl__list_empty(&c->queries)) take_queries(c);
        pthread_mutex_unlock(&c->gate.mutex);
        account_time(c);
        if (c->unflushed && !c->gate.release_alone) {
            c->unflushed = false;
            c->ops->flush(c->store);
        }
        pawl__gate_rouse(&c->gate);
        pthread_mutex_lock(&c->gate.mutex);
        if (c->failed && !c->broken) shut_down(c);
        if (!awaits_turn(c)) return;
    }
}

/* ---- Sleep ---------------------------------------------------------------------------------- */

static int64_t due(const void *ctx)
{
    const pawl_client *c = ctx;
    int64_t at = pawl__instant_min(pawl__queries_deadline(c), pawl__cached_deadline(c));
    return c->engine ? pawl__instant_min(at, pawl__engine_deadline(c->engine)) : at;
}

/* After a shut-down the loop may be what has failed. Only a wake-up matters any more. */
static void wait_broken(const pawl_client *c)
{
    struct pollfd wake = {.fd = c->gate.wake_fd, .events = POLLIN};
    uint64_t count;
    if (poll(&wake, 1, BROKEN_POLL_MS) > 0 && read(c->gate.wake_fd, &count, sizeof count) < 0)
        return;
}

/* What is due is seen before the sleep. The flags for the loop. */
static int set_alarm(pawl_client *c, int64_t until, int flags)
{
    int64_t at = pawl__instant_min(until, due(c));
    if (at == PAWL__NEVER || at >= c->alarm.at) return flags;
    int64_t now = pawl__now();
    c->time_due = at <= now;
    if (c->time_due) return EVLOOP_NONBLOCK;
    pawl__alarm_set(&c->alarm, now, at);
    return flags;
}

static void run_loop(pawl_client *c, int flags)
{
    if (event_base_loop(c->base, flags) < 0) c->failed = true;
}

static void rest(void *ctx, int64_t until, pawl__rest how)
{
    pawl_client *c = ctx;
    pthread_mutex_unlock(&c->gate.mutex);
    int flags = how == PAWL__REST_SLEEP ? EVLOOP_ONCE : EVLOOP_NONBLOCK;
    if (how != PAWL__REST_LOOK) flags = set_alarm(c, until, flags);
    if (!c->broken)
        run_loop(c, flags);
    else if (how != PAWL__REST_LOOK)
        wait_broken(c);
    if (how == PAWL__REST_SPIN) sched_yield(); /* what we wait for may need this very processor */
    pthread_mutex_lock(&c->gate.mutex);
}

/* ---- What is awaited ------------------------------------------------------------------------ */

static bool awaits_store(const pawl_client *c)
{
    if (!c->engine) return true; /* only callers look after what is left */
    return c->gate.spin.under_way > 0 || !pawl__list_empty(&c->waiting) ||
           pawl__engine_awaits_store(c->engine);
}

static bool awaited(const void *ctx, unsigned kinds)
{
    const pawl_client *c = ctx;
    if (kinds & PAWL__AWAITS_TURN && awaits_turn(c)) return true;
    if (kinds & PAWL__AWAITS_STORE && awaits_store(c)) return true;
    if (!c->engine) return false;
    if (kinds & PAWL__AWAITS_RENEWAL && pawl__engine_tends(c->engine)) return true;
    if (kinds & PAWL__AWAITS_RELEASE && c->link_up && pawl__engine_releases(c->engine)) return true;
    return kinds & PAWL__AWAITS_REST && pawl__engine_busy(c->engine);
}

static void work(void *ctx)
{
    pawl__turn_work(ctx);
}

static void overdue(void *ctx)
{
    pawl__claims_tell_overdue(ctx);
}

const pawl__gate_ops pawl__turn_ops = {
    .work = work, .rest = rest, .due = due, .awaited = awaited, .overdue = overdue};

/* ---- What the store calls ------------------------------------------------------------------- */

static void on_reply(pawl_host *host, const pawl_reply *reply)
{
    pawl_client *c = (pawl_client *)host;
    pawl__gate_answered(&c->gate);
    pawl__spin_heard(&c->gate.spin);
    if (pawl__queries_reply(c, reply)) return;
    pawl__event event = {.kind = PAWL__EV_REPLY, .reply = reply};
    pawl__turn_feed(c, &event);
}

static void on_push(pawl_host *host, const pawl_push *push)
{
    pawl_client *c = (pawl_client *)host;
    pawl__spin_heard(&c->gate.spin);
    pawl__event event = {.kind = PAWL__EV_PUSH, .push = push};
    pawl__turn_feed(c, &event);
}

static void on_row(pawl_host *host, uint64_t id, const pawl_info *info)
{
    pawl__queries_row((pawl_client *)host, id, info);
}

static void on_finding(pawl_host *host, uint64_t id, const pawl_finding *finding)
{
    pawl__queries_finding((pawl_client *)host, id, finding);
}

static void keep_caps(pawl_client *c)
{
    const pawl_caps *caps = c->ops->caps(c->store);
    if (!caps) return;
    pawl_caps ours = {.size = sizeof ours};
    memcpy(&ours, caps, caps->size < sizeof ours ? caps->size : sizeof ours);
    ours.size = sizeof ours;
    c->caps = ours;
    c->has_caps = true;
}

static void link_changed(pawl_host *host, bool up, bool final, pawl_err err, const char *message)
{
    pawl_client *c = (pawl_client *)host;
    bool news = up != c->link_up || (!up && err != c->link_err);
    c->link_up = up;
    c->link_err = up ? PAWL_OK : err;
    c->link_final = final;
    snprintf(c->link_message, sizeof c->link_message, "%s",
             up ? "" : (message ? message : pawl_err_text(err)));
    pthread_mutex_lock(&c->gate.mutex);
    if (up) keep_caps(c);
    if (!up) {
        pawl__client_say(c, "%s", c->link_message);
        pawl__client_blame(c, err, c->link_message);
    }
    if (news && up) pawl__calls_log(&c->calls, PAWL_SEVERITY_NOTE, "connected to the store");
    if (news && !up) pawl__calls_log(&c->calls, PAWL_SEVERITY_WARNING, c->link_message);
    pthread_mutex_unlock(&c->gate.mutex);
    pawl__event event = {
        .kind = PAWL__EV_LINK, .up = up, .final = final, .err = err, .message = message};
    pawl__turn_feed(c, &event);
    pawl__queries_link(c);
}

static void on_link(pawl_host *host, bool up, pawl_err err, const char *message)
{
    link_changed(host, up, false, err, message);
}

static void on_link_final(pawl_host *host, pawl_err err, const char *message)
{
    link_changed(host, false, true, err, message);
}

static void on_warn(pawl_host *host, const char *message)
{
    pawl_client *c = (pawl_client *)host;
    pthread_mutex_lock(&c->gate.mutex);
    pawl__client_say(c, "%s", message);
    pawl__calls_log(&c->calls, PAWL_SEVERITY_WARNING, message);
    pthread_mutex_unlock(&c->gate.mutex);
}

void pawl__host_init(pawl_client *c)
{
    c->host = (pawl_host){.size = sizeof c->host,
                          .base = c->base,
                          .client_id = c->id,
                          .owner = c->owner,
                          .connect_timeout_ms = pawl__client_answer_ms(c),
                          .now = pawl__now,
                          .reply = on_reply,
                          .row = on_row,
                          .finding = on_finding,
                          .push = on_push,
                          .link = on_link,
                          .link_final = on_link_final,
                          .warn = on_warn,
                          .work_inline = c->opts.callbacks == PAWL_CALLBACKS_WAIT};
}
