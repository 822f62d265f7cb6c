/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "trace.h"

#include "../base/instant.h"
#include "../base/line.h"
#include "clock.h"
#include "process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An event that waits for the hooks, with its strings. */
typedef struct note {
    pawl__link in_notes;
    pawl_trace event;
    char text[];
} note;

/* The end of a guard is known to the millisecond; by so much more it is another one. */
#define GUARD_NEWS_NS (500 * PAWL__NS_PER_MS)

/* The kinds that the log tells (trace_text.c). */
#define LOGGED                                                                                     \
    (PAWL_TRACE_BIT(PAWL_TRACE_DOUBT) | PAWL_TRACE_BIT(PAWL_TRACE_LOST) |                          \
     PAWL_TRACE_BIT(PAWL_TRACE_LINK) | PAWL_TRACE_BIT(PAWL_TRACE_NOTE) |                           \
     PAWL_TRACE_BIT(PAWL_TRACE_BROKEN))

/* ---- Made and freed ------------------------------------------------------------------------- */

void pawl__trace_init(pawl__trace *trace, pawl__calls *calls, const pawl_open_opts *opts)
{
    *trace = (pawl__trace){.calls = calls,
                           .client = calls->client,
                           .log = opts->log,
                           .log_userdata = opts->log_userdata,
                           .hook = opts->trace,
                           .hook_userdata = opts->trace_userdata,
                           .metrics = opts->metrics};
    if (opts->trace) trace->hook_hears = opts->trace_kinds ? opts->trace_kinds : UINT64_MAX;
    trace->hears = trace->hook_hears;
    if (opts->log) trace->hears |= LOGGED;
    if (opts->metrics) trace->hears |= pawl__metrics_hears;
    if (opts->metrics) pawl__metrics_join(opts->metrics);
    trace->drift = pawl__now_drift();
}

void pawl__trace_free_parts(pawl__trace *trace)
{
    for (pawl__link *l; (l = pawl__list_first(&trace->calls->notes));) {
        pawl__list_remove(l);
        free(pawl__container(l, note, in_notes));
    }
    free(trace->flights);
    if (trace->metrics) pawl__metrics_leave(trace->metrics, trace->link);
}

/* ---- Told ----------------------------------------------------------------------------------- */

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

static char *put(char *room, const char *text)
{
    size_t size = strlen(text) + 1;
    memcpy(room, text, size);
    return room + size;
}

static bool is_line(const pawl__trace *trace, const pawl_trace *event)
{
    return trace->log && pawl__trace_severity(event) != PAWL_SEVERITY_OK;
}

/* NULL: out of memory, or too many wait. Even with very many events there is room for lines of the
 * log. */
static note *new_note(const pawl__trace *trace, const pawl_trace *event)
{
    const char *name = or_empty(event->name), *message = or_empty(event->message);
    size_t max = is_line(trace, event) ? PAWL_TRACE_WAITING_MAX + PAWL__LINES_MAX
                                       : (size_t)PAWL_TRACE_WAITING_MAX;
    if (!trace->hook) max = PAWL__LINES_MAX;
    if (trace->waiting >= max) return NULL;
    note *n = malloc(sizeof *n + strlen(name) + strlen(message) + 2);
    if (!n) return NULL;
    *n = (note){.event = *event};
    char *text = put(n->text, name);
    put(text, message);
    pawl__line_mend(text);
    n->event.dropped = trace->events_dropped;
    n->event.name = n->text;
    n->event.message = text;
    return n;
}

static void queue(pawl__trace *trace, const pawl_trace *event)
{
    bool hooked = trace->hook_hears & PAWL_TRACE_BIT(event->kind);
    bool logged = is_line(trace, event);
    if (!hooked && !logged) return;
    note *n = new_note(trace, event);
    if (!n) {
        trace->events_dropped += hooked;
        trace->lines_dropped += logged;
        return;
    }
    trace->waiting++;
    if (hooked) trace->events_dropped = 0;
    pawl__calls_add_note(trace->calls, &n->in_notes);
}

/* Completes the event for its readers, and counts it in the metrics, which need no queue. */
static pawl_trace complete(pawl__trace *trace, const pawl_trace *event)
{
    pawl_trace whole = *event;
    whole.size = sizeof whole;
    whole.at_ns = pawl__now();
    whole.name = or_empty(event->name);
    whole.message = or_empty(event->message);
    if (trace->metrics) pawl__metrics_count(trace->metrics, &whole, &trace->link);
    return whole;
}

void pawl__trace_tell(pawl__trace *trace, const pawl_trace *event)
{
    if (!pawl__trace_hears(trace, event->kind)) return;
    pawl_trace whole = complete(trace, event);
    queue(trace, &whole);
}

void pawl__trace_tell_outside(pawl__trace *trace, const pawl_trace *event)
{
    if (!pawl__trace_hears(trace, event->kind)) return;
    if (!pawl__trace_calls(trace)) {
        complete(trace, event);
        return;
    }
    pthread_mutex_lock(trace->calls->mutex);
    pawl__trace_tell(trace, event);
    pthread_mutex_unlock(trace->calls->mutex);
}

/* ---- Hooks ---------------------------------------------------------------------------------- */

/* process: the one in which the call began. A hook may fork, and the child may close the client
 * (law 9). */
static void log_line(const pawl__trace *trace, const pawl_trace *event, size_t dropped,
                     uint64_t process)
{
    char line[PAWL_MESSAGE_MAX];
    pawl_trace_text(event, line);
    trace->log(trace->client, pawl__trace_severity(event), line, trace->log_userdata);
    if (!dropped || !pawl__process_is(process)) return;
    snprintf(line, sizeof line, "%zu lines were dropped: the log was not read in time", dropped);
    trace->log(trace->client, PAWL_SEVERITY_WARNING, line, trace->log_userdata);
}

bool pawl__trace_run(pawl__trace *trace, pawl__link *link)
{
    note *n = pawl__container(link, note, in_notes);
    pawl__list_remove(link);
    trace->waiting--;
    bool logged = is_line(trace, &n->event);
    bool hooked = trace->hook_hears & PAWL_TRACE_BIT(n->event.kind);
    size_t lines_dropped = trace->lines_dropped;
    if (logged) trace->lines_dropped = 0;
    pawl__calls *calls = trace->calls;
    uint64_t process = pawl__calls_begin(calls, NULL);
    if (logged) log_line(trace, &n->event, lines_dropped, process);
    if (hooked && pawl__process_is(process))
        trace->hook(trace->client, &n->event, trace->hook_userdata);
    free(n);
    return pawl__calls_end(calls, process);
}

/* ---- The store ------------------------------------------------------------------------------ */

/* If there is no room, the answer has no round-trip time: unknown is shown as unknown. */
static void remember(pawl__trace *trace, const pawl_request *request)
{
    if (!trace->flights) trace->flights = malloc(PAWL__FLIGHTS_MAX * sizeof *trace->flights);
    if (!trace->flights) return;
    if (trace->flight_first == trace->flight_end) trace->flight_first = trace->flight_end = 0;
    if (trace->flight_end == PAWL__FLIGHTS_MAX) {
        size_t count = trace->flight_end - trace->flight_first;
        memmove(trace->flights, trace->flights + trace->flight_first,
                count * sizeof *trace->flights);
        trace->flight_first = 0;
        trace->flight_end = count;
    }
    if (trace->flight_end == PAWL__FLIGHTS_MAX) return;
    trace->flights[trace->flight_end++] =
        (pawl__flight){.id = request->id, .sent_at = pawl__now(), .verb = (uint8_t)request->verb};
}

/* Answers usually come in the order of the requests, so the request is among the first. */
static pawl__flight take(pawl__trace *trace, uint64_t id)
{
    pawl__flight found = {.id = 0};
    for (size_t i = trace->flight_first; i < trace->flight_end && !found.id; i++) {
        if (trace->flights[i].id != id) continue;
        found = trace->flights[i];
        trace->flights[i].id = 0;
    }
    while (trace->flight_first < trace->flight_end && !trace->flights[trace->flight_first].id)
        trace->flight_first++;
    return found;
}

void pawl__trace_request(pawl__trace *trace, const pawl_request *request)
{
    if (pawl__trace_hears(trace, PAWL_TRACE_REPLY)) remember(trace, request);
    pawl_trace event = {.kind = PAWL_TRACE_REQUEST,
                        .name = request->name,
                        .verb = request->verb,
                        .request = request->id,
                        .ttl_ms = request->ttl_ms};
    pawl__trace_tell_outside(trace, &event);
}

void pawl__trace_reply(pawl__trace *trace, const pawl_reply *reply)
{
    pawl__flight flight = take(trace, reply->id);
    bool failed = reply->outcome == PAWL_FAILED || reply->outcome == PAWL_UNKNOWN;
    pawl_trace event = {.kind = PAWL_TRACE_REPLY,
                        .outcome = reply->outcome,
                        .verb = (pawl_verb)flight.verb,
                        .request = reply->id,
                        .fence = reply->fence,
                        .err = failed ? reply->err : PAWL_OK,
                        .message = failed ? reply->message : NULL,
                        .span_ns = flight.id ? pawl__now() - flight.sent_at : -1};
    pawl__trace_tell_outside(trace, &event);
}

void pawl__trace_push(pawl__trace *trace, const pawl_push *push)
{
    char name[PAWL_NAME_MAX + 1]; /* a store's ends where its length says, and not with a NUL */
    size_t len = push->name_len < PAWL_NAME_MAX ? push->name_len : PAWL_NAME_MAX;
    if (len) memcpy(name, push->name, len);
    name[len] = '\0';
    pawl_trace event = {
        .kind = PAWL_TRACE_PUSH, .push = push->kind, .name = name, .fence = push->fence};
    pawl__trace_tell_outside(trace, &event);
}

/* A store may say it with each answer: what was told already is no news. */
void pawl__trace_guard(pawl__trace *trace, int64_t left_ns)
{
    pawl_trace event = {.kind = PAWL_TRACE_GUARD, .span_ns = left_ns};
    int64_t until = left_ns > 0 ? pawl__instant_add(pawl__now(), left_ns) : 0;
    bool is_longer = until > trace->guard_until + GUARD_NEWS_NS;
    bool has_ended = !until && trace->guard_until;
    if (!is_longer && !has_ended) return;
    trace->guard_until = until;
    pawl__trace_tell_outside(trace, &event);
}

void pawl__trace_drift(pawl__trace *trace, int64_t total)
{
    pawl_trace event = {.kind = PAWL_TRACE_DRIFT, .span_ns = total - trace->drift};
    if (event.span_ns == 0) return;
    trace->drift = total;
    pawl__trace_tell_outside(trace, &event);
}
