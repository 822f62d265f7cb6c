/* SPDX-License-Identifier: MIT */
/* Counts; metrics_text.c writes the text. */
#include "metrics.h"

#include "../base/instant.h"
#include "options.h"

#include <stdlib.h>
#include <string.h>

const uint64_t pawl__metrics_hears =
    PAWL_TRACE_BIT(PAWL_TRACE_ACQUIRING) | PAWL_TRACE_BIT(PAWL_TRACE_ACQUIRED) |
    PAWL_TRACE_BIT(PAWL_TRACE_REFUSED) | PAWL_TRACE_BIT(PAWL_TRACE_RENEWED) |
    PAWL_TRACE_BIT(PAWL_TRACE_DOUBT) | PAWL_TRACE_BIT(PAWL_TRACE_LOST) |
    PAWL_TRACE_BIT(PAWL_TRACE_RELEASED) | PAWL_TRACE_BIT(PAWL_TRACE_DETACHED) |
    PAWL_TRACE_BIT(PAWL_TRACE_RETAINED) | PAWL_TRACE_BIT(PAWL_TRACE_RECALLED) |
    PAWL_TRACE_BIT(PAWL_TRACE_REQUEST) | PAWL_TRACE_BIT(PAWL_TRACE_REPLY) |
    PAWL_TRACE_BIT(PAWL_TRACE_PUSH) | PAWL_TRACE_BIT(PAWL_TRACE_LINK) |
    PAWL_TRACE_BIT(PAWL_TRACE_DRIFT) | PAWL_TRACE_BIT(PAWL_TRACE_BROKEN) |
    PAWL_TRACE_BIT(PAWL_TRACE_GUARD);

/* In seconds, except the margin, which is a fraction of the ttl. A normal renewal leaves 0.56 of
 * it. */
const pawl__buckets pawl__wait_buckets = {
    11, {0.0005, 0.001, 0.005, 0.025, 0.1, 0.5, 1, 5, 30, 120, 600}};
const pawl__buckets pawl__hold_buckets = {
    11, {0.0005, 0.001, 0.005, 0.025, 0.1, 0.5, 1, 5, 30, 120, 600}};
const pawl__buckets pawl__margin_buckets = {9, {0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.9}};
const pawl__buckets pawl__round_trip_buckets = {
    11, {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1, 5}};

/* ---- Made and freed ------------------------------------------------------------------------- */

static const pawl_metrics_opts defaults = {.size = sizeof(pawl_metrics_opts)};

void pawl_metrics_opts_init_sized(pawl_metrics_opts *opts, size_t size)
{
    pawl__opts_init(opts, size, &defaults, sizeof defaults);
}

/* A pattern becomes a label, so it must be readable in any encoding. */
static bool pattern_ok(const char *pattern)
{
    if (!pattern || !*pattern || strlen(pattern) > PAWL_METRICS_CLASS_MAX) return false;
    for (const char *p = pattern; *p; p++)
        if ((unsigned char)*p < 0x20 || (unsigned char)*p > 0x7e) return false;
    return true;
}

static int take_classes(pawl_metrics *metrics, const pawl_metrics_opts *opts)
{
    if (opts->class_count > PAWL_METRICS_CLASSES_MAX) return PAWL_ERR_ARGUMENT;
    if (opts->class_count && !opts->classes) return PAWL_ERR_ARGUMENT;
    for (size_t i = 0; i < opts->class_count; i++) {
        if (!pattern_ok(opts->classes[i])) return PAWL_ERR_ARGUMENT;
        memcpy(metrics->patterns[i], opts->classes[i], strlen(opts->classes[i]) + 1);
    }
    metrics->class_count = opts->class_count;
    return PAWL_OK;
}

int pawl_metrics_new(const pawl_metrics_opts *given, pawl_metrics **ret_metrics)
{
    pawl_metrics_opts opts = defaults;
    if (!ret_metrics) return PAWL_ERR_ARGUMENT;
    int err = given ? pawl__opts_take(given, sizeof opts, &opts, sizeof opts) : PAWL_OK;
    if (err) return err;
    pawl_metrics *metrics = calloc(1, sizeof *metrics);
    if (!metrics) return PAWL_ERR_NO_MEMORY;
    atomic_init(&metrics->refs, 1);
    err = take_classes(metrics, &opts);
    if (err) {
        free(metrics);
        return err;
    }
    *ret_metrics = metrics;
    return PAWL_OK;
}

pawl_metrics *pawl_metrics_free(pawl_metrics *metrics)
{
    if (metrics && atomic_fetch_sub(&metrics->refs, 1) == 1) free(metrics);
    return NULL;
}

/* ---- Counts --------------------------------------------------------------------------------- */

static void add(_Atomic uint64_t *count, uint64_t by)
{
    atomic_fetch_add_explicit(count, by, memory_order_relaxed);
}

static void move(_Atomic int64_t *gauge, int64_t by)
{
    atomic_fetch_add_explicit(gauge, by, memory_order_relaxed);
}

static void observe(pawl__histogram *histogram, const pawl__buckets *buckets, double value)
{
    size_t i = 0;
    if (value < 0) value = 0;
    while (i < buckets->count && value > buckets->bounds[i]) i++;
    add(&histogram->counts[i], 1);
    add(&histogram->sum, (uint64_t)(value * 1e6));
}

static double seconds(int64_t span_ns)
{
    return (double)span_ns / 1e9;
}

static size_t index_of(pawl_err err)
{
    int index = -(int)err;
    return index >= 0 && index < PAWL__METRICS_ERRORS ? (size_t)index : PAWL__METRICS_ERRORS - 1;
}

pawl_metrics *pawl__metrics_hold(pawl_metrics *metrics)
{
    atomic_fetch_add(&metrics->refs, 1);
    return metrics;
}

void pawl__metrics_join(pawl_metrics *metrics)
{
    pawl__metrics_hold(metrics);
    move(&metrics->clients[PAWL__LINK_UNKNOWN], 1);
}

void pawl__metrics_leave(pawl_metrics *metrics, pawl__link_state link)
{
    move(&metrics->clients[link], -1);
    pawl_metrics_free(metrics);
}

/* ---- Classes -------------------------------------------------------------------------------- */

/* * stands for any bytes, ? for one. No pattern has more than a few stars, no name 513 bytes. */
static bool fits(const char *pattern, const char *name)
{
    const char *star = NULL, *resume = NULL;
    while (*name) {
        if (*pattern == '*') {
            star = pattern++;
            resume = name;
        } else if (*pattern == '?' || *pattern == *name) {
            pattern++;
            name++;
        } else if (star) { /* the latest star takes one more byte */
            pattern = star + 1;
            name = ++resume;
        } else {
            return false;
        }
    }
    while (*pattern == '*') pattern++;
    return !*pattern;
}

pawl__class_metrics *pawl__metrics_class(pawl_metrics *metrics, const char *name)
{
    size_t i = 0;
    while (i < metrics->class_count && !fits(metrics->patterns[i], name)) i++;
    return &metrics->classes[i];
}

/* ---- Events --------------------------------------------------------------------------------- */

static void end_hold(pawl__class_metrics *counts, int64_t span_ns)
{
    move(&counts->held, -1);
    observe(&counts->hold, &pawl__hold_buckets, seconds(span_ns));
}

static void end_wait(pawl__class_metrics *counts, const pawl_trace *event)
{
    move(&counts->waiting, -1);
    add(&counts->acquisitions[index_of(event->err)], 1);
    if (event->err) return;
    move(&counts->held, 1);
    observe(&counts->wait, &pawl__wait_buckets, seconds(event->span_ns));
}

static void count_renewal(pawl__class_metrics *counts, const pawl_trace *event)
{
    double ttl = (double)event->ttl_ms * (double)PAWL__NS_PER_MS;
    observe(&counts->margin, &pawl__margin_buckets, ttl > 0 ? (double)event->span_ns / ttl : 0);
}

/* Counts what happens to a lock. */
static void count_lock(pawl__class_metrics *counts, const pawl_trace *event)
{
    switch (event->kind) {
    case PAWL_TRACE_ACQUIRING:
        move(&counts->waiting, 1);
        return;
    case PAWL_TRACE_ACQUIRED:
    case PAWL_TRACE_REFUSED:
        end_wait(counts, event);
        return;
    case PAWL_TRACE_RENEWED:
        count_renewal(counts, event);
        return;
    case PAWL_TRACE_DOUBT:
        add(&counts->doubts, 1);
        return;
    case PAWL_TRACE_LOST:
        add(&counts->losses[index_of(event->err)], 1);
        end_hold(counts, event->span_ns);
        return;
    case PAWL_TRACE_RELEASED:
        add(&counts->released, 1);
        end_hold(counts, event->span_ns);
        return;
    case PAWL_TRACE_DETACHED:
        add(&counts->detached, 1);
        end_hold(counts, event->span_ns);
        return;
    case PAWL_TRACE_RETAINED:
        add(&counts->retained, 1);
        end_hold(counts, event->span_ns);
        return;
    default: /* RECALLED: pawl__metrics_taken has counted who holds it */
        return;
    }
}

static void count_link(pawl_metrics *metrics, const pawl_trace *event, pawl__link_state *link)
{
    move(&metrics->clients[*link], -1);
    *link = event->up ? PAWL__LINK_UP : PAWL__LINK_DOWN;
    move(&metrics->clients[*link], 1);
    if (event->up && event->again) add(&metrics->reconnects, 1);
}

static void count_reply(pawl_metrics *metrics, const pawl_trace *event)
{
    if (event->outcome <= PAWL_UNKNOWN) add(&metrics->replies[event->outcome], 1);
    if (event->span_ns >= 0)
        observe(&metrics->round_trip, &pawl__round_trip_buckets, seconds(event->span_ns));
}

/*
 * Clients of one store tell of one guard, each at its time: the latest end counts. It is an instant
 * and not a count of clients, so that a client that ends, or asks nothing more, leaves nothing
 * behind.
 */
static void count_guard(pawl_metrics *metrics, const pawl_trace *event)
{
    int64_t until = pawl__instant_add(event->at_ns, event->span_ns);
    int64_t known = atomic_load_explicit(&metrics->guard_until, memory_order_relaxed);
    if (event->span_ns <= 0) return; /* the end that was told has come: the writer sees it */
    if (known <= event->at_ns) add(&metrics->guards, 1);
    while (until > known && !atomic_compare_exchange_weak(&metrics->guard_until, &known, until)) {
    }
}

void pawl__metrics_count(pawl_metrics *metrics, const pawl_trace *event, pawl__link_state *link)
{
    switch (event->kind) {
    case PAWL_TRACE_REQUEST:
        if (event->verb < PAWL_VERB_COUNT) add(&metrics->requests[event->verb], 1);
        return;
    case PAWL_TRACE_REPLY:
        count_reply(metrics, event);
        return;
    case PAWL_TRACE_PUSH:
        if (event->push == PAWL_PUSH_GRANT) add(&metrics->hand_offs, 1);
        return;
    case PAWL_TRACE_LINK:
        count_link(metrics, event, link);
        return;
    case PAWL_TRACE_DRIFT:
        if (event->span_ns > 0) add(&metrics->drift_ns, (uint64_t)event->span_ns);
        return;
    case PAWL_TRACE_BROKEN:
        add(&metrics->broken, 1);
        return;
    case PAWL_TRACE_GUARD:
        count_guard(metrics, event);
        return;
    case PAWL_TRACE_WANTED:
    case PAWL_TRACE_LEASE:
    case PAWL_TRACE_NOTE:
        return;
    default:
        count_lock(pawl__metrics_class(metrics, event->name), event);
    }
}

/* ---- Retained leases ------------------------------------------------------------------------ */

void pawl__metrics_taken(pawl__class_metrics *counts)
{
    add(&counts->acquisitions[0], 1);
    move(&counts->held, 1);
    observe(&counts->wait, &pawl__wait_buckets, 0);
}

void pawl__metrics_put_back(pawl__class_metrics *counts, int64_t held_ns)
{
    add(&counts->retained, 1);
    end_hold(counts, held_ns);
}
