/* SPDX-License-Identifier: MIT */
/*
 * The counts behind pawl/metrics.h: a reader of the events of a client (trace.h).
 *
 * Locking: what is counted is atomic and needs no order: any thread, any moment. The classes are
 * set once.
 */
#ifndef PAWL_RUNTIME_METRICS_H
#define PAWL_RUNTIME_METRICS_H

#include "pawl/metrics.h"
#include "pawl/trace.h"

#include <stdatomic.h>

/* Errors as indexes: 0 is success, then -1, -2 ...; unknown numbers count as the last. */
#define PAWL__METRICS_ERRORS  48
#define PAWL__METRICS_BUCKETS 12

/* The upper bounds of a histogram, in its unit; the last bucket has no bound. */
typedef struct pawl__buckets {
    size_t count;
    double bounds[PAWL__METRICS_BUCKETS];
} pawl__buckets;

typedef struct pawl__histogram {
    _Atomic uint64_t counts[PAWL__METRICS_BUCKETS + 1]; /* not cumulative */
    _Atomic uint64_t sum;                               /* in millionths of the unit */
} pawl__histogram;

typedef struct pawl__class_metrics {
    _Atomic uint64_t acquisitions[PAWL__METRICS_ERRORS]; /* by result */
    _Atomic uint64_t losses[PAWL__METRICS_ERRORS];       /* by reason */
    _Atomic uint64_t released, detached, retained, doubts;
    _Atomic int64_t held, waiting;
    pawl__histogram wait, hold, margin;
} pawl__class_metrics;

struct pawl_metrics {
    _Atomic uint32_t refs; /* the program's and the clients' */
    size_t class_count;    /* [once] patterns; the class after them is "other" */
    char patterns[PAWL_METRICS_CLASSES_MAX][PAWL_METRICS_CLASS_MAX + 1]; /* [once] */
    pawl__class_metrics classes[PAWL_METRICS_CLASSES_MAX + 1];
    _Atomic uint64_t requests[PAWL_VERB_COUNT];
    _Atomic uint64_t replies[PAWL_UNKNOWN + 1];
    _Atomic uint64_t hand_offs, reconnects, drift_ns, broken, guards;
    _Atomic int64_t guard_until; /* instant: the latest end of a restart guard that was told */
    _Atomic int64_t clients[3];  /* by pawl__link_state */
    pawl__histogram round_trip;
};

/* Of one client. */
typedef enum pawl__link_state {
    PAWL__LINK_UNKNOWN = 0,
    PAWL__LINK_UP,
    PAWL__LINK_DOWN
} pawl__link_state;

/* PAWL_TRACE_BIT of the kinds that it counts. */
extern const uint64_t pawl__metrics_hears;
extern const pawl__buckets pawl__wait_buckets, pawl__hold_buckets, pawl__margin_buckets,
    pawl__round_trip_buckets;

/* "renew", "not_owner" (trace_text.c). "?" for other numbers. */
const char *pawl__verb_name(pawl_verb verb);
const char *pawl__outcome_name(pawl_outcome outcome);

/* Adds a reference; returns it. */
pawl_metrics *pawl__metrics_hold(pawl_metrics *metrics);
/* A client begins to count there; a client ends, and its link was in this state. */
void pawl__metrics_join(pawl_metrics *metrics);
void pawl__metrics_leave(pawl_metrics *metrics, pawl__link_state link);
/* Counts an event; link: of the client, kept by the caller. */
void pawl__metrics_count(pawl_metrics *metrics, const pawl_trace *event, pawl__link_state *link);

/* A retained lease is taken and put back without an event, so that it costs only a few
 * instructions. */
pawl__class_metrics *pawl__metrics_class(pawl_metrics *metrics, const char *name);
void pawl__metrics_taken(pawl__class_metrics *counts);
void pawl__metrics_put_back(pawl__class_metrics *counts, int64_t held_ns);

#endif
