/* SPDX-License-Identifier: MIT */
/*
 * pawl/trace.h - what a client notices, as typed events: for tracing, metrics and tests.
 *
 * Set pawl_open_opts.trace, and the function hears of each event once, in the order in which they
 * happened. Log lines and metrics are made of the same events.
 *
 *  - The function runs where the client's callbacks run (pawl_callbacks): one at a time, without
 *    any lock of pawl, never on the thread that renews leases. So it may call anything but
 *    pawl_client_close, and however long it takes, no renewal waits for it.
 *  - Nobody waits for it either: it hears of an event a little later than the callers do. What
 *    happened until pawl_client_close is told before that returns, and nothing after that.
 *  - Memory is bounded: while PAWL_TRACE_WAITING_MAX events wait, further ones are dropped and
 *    counted (`dropped`). Events that are also lines of the log still have room then.
 *  - With PAWL_CALLBACKS_DISPATCH and _WAIT an event counts as a callback that waits.
 *  - A client without a trace, a log and metrics pays one test of a bit for each event.
 *
 * Each ACQUIRED, and each RECALLED with `held`, is followed by exactly one RELEASED, DETACHED, LOST
 * or RETAINED of the same name. Each ACQUIRING is followed by exactly one ACQUIRED or REFUSED.
 */
#ifndef PAWL_TRACE_H
#define PAWL_TRACE_H

#include "store.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PAWL_TRACE_WAITING_MAX 1024 /* events that wait for the function (law 8) */

/* The line of each kind says what `span_ns` and other fields mean for it. */
typedef enum pawl_trace_kind {
    /* A lock, as callers see it: name. */
    PAWL_TRACE_ACQUIRING = 1, /* a call of acquire begins to wait; ttl_ms */
    PAWL_TRACE_ACQUIRED,      /* it has the lock; fence, ttl_ms, span: how long it waited */
    PAWL_TRACE_REFUSED,       /* it ends without the lock; err, message, span: how long it waited */
    PAWL_TRACE_RENEWED,       /* a renewal was confirmed; ttl_ms, span: what was left until the
                                 local deadline; after_doubt */
    PAWL_TRACE_DOUBT,    /* a renewal is overdue; err, message, span: left until the deadline */
    PAWL_TRACE_WANTED,   /* somebody else waits for what is held here */
    PAWL_TRACE_LOST,     /* err, message; span: how long it was held */
    PAWL_TRACE_RELEASED, /* given back; span: how long it was held */
    PAWL_TRACE_DETACHED, /* left to who has the token; span: how long it was held */
    PAWL_TRACE_RETAINED, /* given back, but kept (retain_ms): until RECALLED the handle takes
                            it and gives it back without an event; span: how long it was held */
    PAWL_TRACE_RECALLED, /* that has ended; held: the handle holds it at this moment; count: how
                            often the handle took it meanwhile */

    /* Between the client and the store. */
    PAWL_TRACE_REQUEST, /* leaves with this turn; verb, name, request, ttl_ms */
    PAWL_TRACE_REPLY, /* verb, outcome, request, err, message, span: the round trip, -1: unknown */
    PAWL_TRACE_PUSH,  /* the store spoke unasked; push, name, fence. GRANT is a hand-off to us */
    PAWL_TRACE_LINK,  /* up or down; again: it was up before; down: err, message */

    /* The client itself. */
    PAWL_TRACE_LEASE,  /* a lease has moved; name, from, to */
    PAWL_TRACE_DRIFT,  /* the system's two clocks ran apart (law 2); span: by how much since the
                          latest such event of this client */
    PAWL_TRACE_NOTE,   /* a line from the store or the client for the log; severity, message */
    PAWL_TRACE_BROKEN, /* pawl or the system failed, every lock is lost (law 10); message */

    /* Between the client and the store, again. */
    PAWL_TRACE_GUARD /* the store's restart guard begins, lasts longer than was said before, or
                        ends; span: for how long nothing new is granted, 0: it has ended */
} pawl_trace_kind;

/* A bit for pawl_open_opts.trace_kinds. */
#define PAWL_TRACE_BIT(kind) (UINT64_C(1) << (kind))

/* The life of a lease in this client: docs/architecture.md, "What a lease goes through". */
typedef enum pawl_lease_state {
    PAWL_LEASE_ABSENT = 0, /* it does not exist yet, or no more */
    PAWL_LEASE_REQUESTING,
    PAWL_LEASE_QUEUED,
    PAWL_LEASE_UNKNOWN,
    PAWL_LEASE_HELD,
    PAWL_LEASE_IDLE,
    PAWL_LEASE_DOUBT,
    PAWL_LEASE_LOST,
    PAWL_LEASE_RELEASING
} pawl_lease_state;

/*
 * One event. What its kind does not mention is 0, "" or false. All pointers live as long as the
 * call. New members are only appended: `size` says what this library knows.
 */
typedef struct pawl_trace {
    size_t size;
    pawl_trace_kind kind;
    pawl_err err;
    int64_t at_ns;    /* when: an instant of the client's clock; only differences mean anything */
    uint64_t dropped; /* events that were dropped since the one before this */
    const char *name; /* NUL-terminated; bytes that the program chose, or others did */
    const char *message; /* one line for people, without secrets and control characters */
    int64_t span_ns;
    int64_t ttl_ms;
    uint64_t fence;
    uint64_t count;
    uint64_t request; /* pairs a REPLY with its REQUEST */
    pawl_verb verb;
    pawl_outcome outcome;
    pawl_push_kind push;
    pawl_lease_state from, to;
    pawl_severity severity;
    bool up;
    bool again;
    bool after_doubt;
    bool held;
} pawl_trace;

/* Names for people: "renewed", "queued". "?" for other numbers. Static. Any thread. Since 0.2. */
PAWL_API const char *pawl_trace_kind_name(pawl_trace_kind kind);
PAWL_API const char *pawl_lease_state_name(pawl_lease_state state);

/*
 * Writes the event as one line for people into ret_line, which has PAWL_MESSAGE_MAX bytes: for the
 * kinds that the log shows it is the line of the log. Control characters in names become question
 * marks. Any thread. Since 0.2.
 */
PAWL_API void pawl_trace_text(const pawl_trace *event, char *ret_line);

#ifdef __cplusplus
}
#endif
#endif
