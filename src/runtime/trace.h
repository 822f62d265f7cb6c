/* SPDX-License-Identifier: MIT */
/*
 * What a client notices, as typed events (pawl/trace.h), and who reads them: the metrics at once,
 * the log hook and the trace hook as callbacks.
 *
 * An event is told where it happens, often by the loop owner in the middle of a turn. So telling
 * never waits for a reader: the metrics are atomics, and for the hooks a copy is queued among the
 * callbacks; the number of copies is bounded. An event is made only if somebody wants to hear of
 * its kind: look at `hears` first.
 *
 * Locking: by the marks of gate.h. [m] is the mutex of the gate, which the calls know, too.
 */
#ifndef PAWL_RUNTIME_TRACE_H
#define PAWL_RUNTIME_TRACE_H

#include "calls.h"
#include "metrics.h"
#include "pawl/pawl.h"
#include "pawl/trace.h"

#define PAWL__LINES_MAX      256  /* of the log: a reader needs no more (law 8) */
#define PAWL__FLIGHTS_MAX    4096 /* requests under way whose round trip is measured */
/* The kinds that need the time at which a request left. */
#define PAWL__TRACE_REQUESTS (PAWL_TRACE_BIT(PAWL_TRACE_REQUEST) | PAWL_TRACE_BIT(PAWL_TRACE_REPLY))
/* The kinds that need the time at which a call began to wait. */
#define PAWL__TRACE_WAITS                                                                          \
    (PAWL_TRACE_BIT(PAWL_TRACE_ACQUIRING) | PAWL_TRACE_BIT(PAWL_TRACE_ACQUIRED) |                  \
     PAWL_TRACE_BIT(PAWL_TRACE_REFUSED))
/* The kinds that need the time at which a hold began. */
#define PAWL__TRACE_HOLDS                                                                          \
    (PAWL_TRACE_BIT(PAWL_TRACE_RECALLED) | PAWL_TRACE_BIT(PAWL_TRACE_RELEASED) |                   \
     PAWL_TRACE_BIT(PAWL_TRACE_DETACHED) | PAWL_TRACE_BIT(PAWL_TRACE_LOST) |                       \
     PAWL_TRACE_BIT(PAWL_TRACE_RETAINED))

/* A request that was submitted and is not answered. */
typedef struct pawl__flight {
    uint64_t id; /* 0: answered */
    int64_t sent_at;
    uint8_t verb;
} pawl__flight;

typedef struct pawl__trace {
    /* [once] */
    uint64_t hears; /* PAWL_TRACE_BIT of the kinds that anybody reads */
    pawl__calls *calls;
    pawl_client *client; /* for the hooks */
    pawl_log_fn log;
    void *log_userdata;
    pawl_trace_fn hook;
    void *hook_userdata;
    uint64_t hook_hears;
    pawl_metrics *metrics;
    /* [m] */
    size_t waiting; /* events that are queued */
    size_t lines_dropped, events_dropped;
    /* [loop] */
    pawl__flight *flights; /* in the order in which they left */
    size_t flight_first, flight_end;
    pawl__link_state link; /* as the metrics have counted it */
    int64_t drift;         /* of the process, as far as this client has told of it */
    int64_t guard_until;   /* the end of the restart guard, as it was told; 0: none */
} pawl__trace;

/* Mutex not held in these three. opts: of the client. */
void pawl__trace_init(pawl__trace *trace, pawl__calls *calls, const pawl_open_opts *opts);
/* Frees events that were not told. */
void pawl__trace_free_parts(pawl__trace *trace);
/* Whether somebody hears of events by a callback. */
static inline bool pawl__trace_calls(const pawl__trace *trace)
{
    return trace->log || trace->hook;
}

/* Whether anybody reads this kind: else there is no need to make the event. */
static inline bool pawl__trace_hears(const pawl__trace *trace, pawl_trace_kind kind)
{
    return trace->hears & PAWL_TRACE_BIT(kind);
}

/*
 * Tells an event, if anybody hears of its kind; the strings of `event` are borrowed, NULL is "".
 * The instant is filled in. Mutex held in the first one, and not in the second.
 */
void pawl__trace_tell(pawl__trace *trace, const pawl_trace *event);
void pawl__trace_tell_outside(pawl__trace *trace, const pawl_trace *event);

/* For pawl__calls_ops: tells the hooks of one event. false: as pawl__calls_end. Mutex held. */
bool pawl__trace_run(pawl__trace *trace, pawl__link *note);

/* ---- The store: loop owned, mutex not held ----------------------------------------------------
 */

void pawl__trace_request(pawl__trace *trace, const pawl_request *request) __attribute__((cold));
void pawl__trace_reply(pawl__trace *trace, const pawl_reply *reply) __attribute__((cold));
void pawl__trace_push(pawl__trace *trace, const pawl_push *push) __attribute__((cold));
/* The store's restart guard lasts for so long; 0: it is over. Tells what is news. */
void pawl__trace_guard(pawl__trace *trace, int64_t left_ns) __attribute__((cold));
/* total: the drift of the whole process, from the clock. */
void pawl__trace_drift(pawl__trace *trace, int64_t total) __attribute__((cold));

/* ---- trace_text.c -----------------------------------------------------------------------------
 */

/* The severity of the log line about the event; PAWL_SEVERITY_OK: it is not logged. */
pawl_severity pawl__trace_severity(const pawl_trace *event);

#endif
