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
    c->spin.under_way++;
    c->unflushed = true;
}

void pawl__turn_answered(pawl_client *c)
{
    if (c->spin.under_way > 0) c->spin.under_way--; /* an answer may come after it was given up */
    c->makes_way = false;
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
        pthread_mutex_unlock(&c->mutex);
        tell(c, claim, asked & -asked, await_store);
        pthread_mutex_lock(&c->mutex);
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
    pthread_mutex_unlock(&c->mutex);
    pawl__queries_take(c, &list);
    pthread_mutex_lock(&c->mutex);
}

/* What cannot fail has failed: everybody is told that nothing is held, nothing more is sent. */
static void shut_down(pawl_client *c)
{
    c->engine = pawl__engine_free(c->engine);
    c->broken = true;
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

void pawl__turn_work(pawl_client *c)
{
    for (;;) {
        while (!pawl__list_empty(&c->asked))
            tell_claim(c, pawl__container(c->asked.next, pawl__claim, in_asked));
        if (!pawl__list_empty(&c->queries)) take_queries(c);
        pthread_mutex_unlock(&c->mutex);
        account_time(c);
        if (c->unflushed && !c->makes_way) {
            c->unflushed = false;
            c->ops->flush(c->store);
        }
        pawl__sleepers_rouse(c);
        pthread_mutex_lock(&c->mutex);
        if (c->failed && !c->broken) shut_down(c);
        if (pawl__list_empty(&c->asked) && pawl__list_empty(&c->queries)) return;
    }
}

/* ---- Sleep ---------------------------------------------------------------------------------- */

int64_t pawl__turn_due(const pawl_client *c)
{
    int64_t at = pawl__instant_min(pawl__queries_deadline(c), pawl__cached_deadline(c));
    return c->engine ? pawl__instant_min(at, pawl__engine_deadline(c->engine)) : at;
}

/* After a shut-down the loop may be what has failed. Only a wake-up matters any more. */
static void wait_broken(const pawl_client *c)
{
    struct pollfd wake = {.fd = c->wake_fd, .events = POLLIN};
    uint64_t count;
    if (poll(&wake, 1, BROKEN_POLL_MS) > 0 && read(c->wake_fd, &count, sizeof count) < 0) return;
}

void pawl__turn_sleep(pawl_client *c, int64_t until, bool spin)
{
    c->asleep = !spin; /* under the mutex, and nothing is asked: whoever asks now wakes us */
    pthread_mutex_unlock(&c->mutex);
    int flags = spin ? EVLOOP_NONBLOCK : EVLOOP_ONCE;
    int64_t at = pawl__instant_min(until, pawl__turn_due(c));
    if (at != PAWL__NEVER && at < c->alarm.at) {
        int64_t now = pawl__now();
        c->time_due = at <= now;
        if (c->time_due)
            flags = EVLOOP_NONBLOCK;
        else
            pawl__alarm_set(&c->alarm, now, at);
    }
    if (c->broken)
        wait_broken(c);
    else if (event_base_loop(c->base, flags) < 0)
        c->failed = true;
    if (spin) sched_yield(); /* what we wait for may need this very processor */
    pthread_mutex_lock(&c->mutex);
    c->asleep = false;
}

void pawl__turn_look(pawl_client *c)
{
    pthread_mutex_unlock(&c->mutex);
    if (!c->broken && event_base_loop(c->base, EVLOOP_NONBLOCK) < 0) c->failed = true;
    pthread_mutex_lock(&c->mutex);
}

/* ---- What the store calls ------------------------------------------------------------------- */

static void on_reply(pawl_host *host, const pawl_reply *reply)
{
    pawl_client *c = (pawl_client *)host;
    pawl__turn_answered(c);
    pawl__spin_heard(&c->spin);
    if (pawl__queries_reply(c, reply)) return;
    pawl__event event = {.kind = PAWL__EV_REPLY, .reply = reply};
    pawl__turn_feed(c, &event);
}

static void on_push(pawl_host *host, const pawl_push *push)
{
    pawl_client *c = (pawl_client *)host;
    pawl__spin_heard(&c->spin);
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
    pthread_mutex_lock(&c->mutex);
    if (up) keep_caps(c);
    if (!up) {
        pawl__client_say(c, "%s", c->link_message);
        pawl__client_blame(c, err, c->link_message);
    }
    if (news && up) pawl__calls_log(&c->calls, PAWL_SEVERITY_NOTE, "connected to the store");
    if (news && !up) pawl__calls_log(&c->calls, PAWL_SEVERITY_WARNING, c->link_message);
    pthread_mutex_unlock(&c->mutex);
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
    pthread_mutex_lock(&c->mutex);
    pawl__client_say(c, "%s", message);
    pawl__calls_log(&c->calls, PAWL_SEVERITY_WARNING, message);
    pthread_mutex_unlock(&c->mutex);
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
