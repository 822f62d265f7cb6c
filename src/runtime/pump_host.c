/* SPDX-License-Identifier: MIT */
/* What the store calls, in the event loop: the loop is owned, the mutex is not held. */
#include "pump.h"

#include "../base/instant.h"

#include <stdio.h>
#include <string.h>

static pawl__pump *pump_of(pawl_host *host)
{
    return pawl__container(host, pawl__pump, host);
}

/* ---- What no store may say ------------------------------------------------------------------- */

/*
 * A store module may come from somebody else, so nonsense is corrected: a failure must have an
 * error, or it would look like success, and an array must be there if its count says so.
 */

static bool is_error(int err)
{
    switch (err) {
#define CASE(name, number, cls, text) case number:
        PAWL_ERR_LIST(CASE)
#undef CASE
        return true;
    }
    return false;
}

static bool is_failure(const pawl_reply *reply)
{
    return reply->outcome == PAWL_FAILED || reply->outcome == PAWL_UNKNOWN;
}

static bool lacks_slots(const uint16_t *slots, size_t count)
{
    return count > PAWL_CAPACITY_MAX || (count && !slots);
}

static bool lacks_value(const pawl_value *value)
{
    return value->len && !value->bytes;
}

static bool makes_sense(const pawl_reply *reply)
{
    if (is_failure(reply) && !is_error(reply->err)) return false;
    if (lacks_slots(reply->slots, reply->slot_count)) return false;
    return !reply->value || !lacks_value(reply->value);
}

/* The engine itself refuses a grant of permits that names no slots. */
static pawl_reply mended(const pawl_reply *said)
{
    pawl_reply reply = *said;
    if (is_failure(said) && !is_error(said->err)) {
        reply.err = PAWL_ERR_PROTOCOL;
        reply.message = "the store says that it failed, and names no error";
    }
    if (lacks_slots(said->slots, said->slot_count)) reply.slot_count = 0;
    if (said->value && lacks_value(said->value)) reply.value = NULL;
    return reply;
}

static pawl_push mended_push(const pawl_push *said)
{
    pawl_push push = *said;
    if (!push.name) push.name_len = 0;
    if (lacks_slots(push.slots, push.slot_count)) push.slot_count = 0;
    return push;
}

/* ---- What it says ---------------------------------------------------------------------------- */

static void on_reply(pawl_host *host, const pawl_reply *said)
{
    pawl__pump *pump = pump_of(host);
    const pawl_reply *reply = said;
    pawl_reply better;
    if (!makes_sense(said)) {
        better = mended(said);
        reply = &better;
    }
    pawl__gate_answered(pump->gate);
    pawl__spin_heard(&pump->gate->spin);
    if (pawl__trace_hears(pump->trace, PAWL_TRACE_REPLY)) pawl__trace_reply(pump->trace, reply);
    if (pump->ops->reply(pump->client, reply)) return;
    pawl__event event = {.kind = PAWL__EV_REPLY, .reply = reply};
    pawl__pump_feed(pump, &event);
}

static void on_push(pawl_host *host, const pawl_push *said)
{
    pawl__pump *pump = pump_of(host);
    const pawl_push better = mended_push(said), *push = &better;
    pawl__spin_heard(&pump->gate->spin);
    if (pawl__trace_hears(pump->trace, PAWL_TRACE_PUSH)) pawl__trace_push(pump->trace, push);
    if (pump->ops->push(pump->client, push)) return;
    pawl__event event = {.kind = PAWL__EV_PUSH, .push = push};
    pawl__pump_feed(pump, &event);
}

static void on_row(pawl_host *host, uint64_t id, const pawl_info *info)
{
    pawl__pump *pump = pump_of(host);
    pump->ops->row(pump->client, id, info);
}

static void on_finding(pawl_host *host, uint64_t id, const pawl_finding *finding)
{
    pawl__pump *pump = pump_of(host);
    pump->ops->finding(pump->client, id, finding);
}

static void keep_caps(pawl__pump *pump)
{
    const pawl_caps *caps = pump->store_ops->caps(pump->store);
    if (!caps) return;
    pawl_caps ours = {.size = sizeof ours};
    memcpy(&ours, caps, caps->size < sizeof ours ? caps->size : sizeof ours);
    ours.size = sizeof ours;
    pump->caps = ours;
    pump->has_caps = true;
}

/* Mutex held. */
static void tell_link(pawl__pump *pump, bool is_news)
{
    if (is_news) {
        pawl_trace event = {.kind = PAWL_TRACE_LINK,
                            .up = pump->link_up,
                            .again = pump->was_up,
                            .err = pump->link_err,
                            .message = pump->link_message};
        pawl__trace_tell(pump->trace, &event);
        pump->was_up |= pump->link_up;
    }
    if (pump->link_up) {
        keep_caps(pump);
        return;
    }
    pawl__set_message(pump->messages, "%s", pump->link_message);
    pawl__set_reason(pump->messages, pump->link_err, pump->link_message);
}

static void link_changed(pawl__pump *pump, bool up, bool final, pawl_err err, const char *message)
{
    if (!up && !is_error(err)) err = PAWL_ERR_PROTOCOL; /* down without an error */
    bool is_news = up != pump->link_up || (!up && err != pump->link_err);
    pump->link_tried = !up && !pump->link_up;
    pump->link_up = up;
    pump->link_err = up ? PAWL_OK : err;
    pump->link_final = final;
    snprintf(pump->link_message, sizeof pump->link_message, "%s",
             up ? "" : (message ? message : pawl_err_text(err)));
    pthread_mutex_lock(&pump->gate->mutex);
    tell_link(pump, is_news);
    pthread_mutex_unlock(&pump->gate->mutex);
    pawl__event event = {
        .kind = PAWL__EV_LINK, .up = up, .final = final, .err = err, .message = message};
    pawl__pump_feed(pump, &event);
    pump->ops->link(pump->client);
}

static void on_link(pawl_host *host, bool up, pawl_err err, const char *message)
{
    link_changed(pump_of(host), up, false, err, message);
}

static void on_link_final(pawl_host *host, pawl_err err, const char *message)
{
    link_changed(pump_of(host), false, true, err, message);
}

static void on_warn(pawl_host *host, const char *message)
{
    pawl__pump *pump = pump_of(host);
    pthread_mutex_lock(&pump->gate->mutex);
    pawl__set_message(pump->messages, "%s", message);
    pawl_trace event = {
        .kind = PAWL_TRACE_NOTE, .severity = PAWL_SEVERITY_WARNING, .message = message};
    pawl__trace_tell(pump->trace, &event);
    pthread_mutex_unlock(&pump->gate->mutex);
}

static void on_guarded(pawl_host *host, int64_t left_ms)
{
    pawl__pump *pump = pump_of(host);
    if (left_ms < 0) left_ms = 0; /* nonsense */
    if (pawl__trace_hears(pump->trace, PAWL_TRACE_GUARD))
        pawl__trace_guard(pump->trace, pawl__ms_to_ns(left_ms));
}

/* The releases that the store is told of belong to nobody any more. */
static bool may_block(const pawl_host *host)
{
    const pawl__pump *pump = pawl__container(host, const pawl__pump, host);
    return pump->calm && pump->engine && !pawl__engine_tends(pump->engine);
}

#define SOONER 10 /* a tenth */

/* An attempt to connect ends before the call that waits for it, which can say then why it failed.
 */
static int64_t connect_ms(int64_t answer_ms)
{
    return answer_ms - answer_ms / SOONER;
}

void pawl__pump_init_host(pawl__pump *pump, const char *owner, const char *id, bool work_inline)
{
    pump->host = (pawl_host){.size = sizeof pump->host,
                             .base = pump->base,
                             .client_id = id,
                             .owner = owner,
                             .connect_timeout_ms = connect_ms(pump->answer_ms),
                             .now = pawl__now,
                             .reply = on_reply,
                             .row = on_row,
                             .finding = on_finding,
                             .push = on_push,
                             .link = on_link,
                             .link_final = on_link_final,
                             .guarded = on_guarded,
                             .warn = on_warn,
                             .work_inline = work_inline,
                             .may_block = may_block};
}
