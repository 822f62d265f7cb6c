/* SPDX-License-Identifier: MIT */
/* Writes the counts in Prometheus' text format. */
#include "clock.h"
#include "metrics.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

typedef struct output {
    pawl_write_fn fn;
    void *userdata;
    bool ended; /* fn wants no more */
} output;

static void put(output *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(output *out, const char *format, ...)
{
    char line[512];
    va_list args;
    if (out->ended) return;
    va_start(args, format);
    int len = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (len > 0 && !out->fn(line, (size_t)len, out->userdata)) out->ended = true;
}

static void put_family(output *out, const char *name, const char *type, const char *help)
{
    put(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static uint64_t read_count(const _Atomic uint64_t *count)
{
    return atomic_load_explicit((_Atomic uint64_t *)count, memory_order_relaxed);
}

static int64_t read_gauge(const _Atomic int64_t *gauge)
{
    return atomic_load_explicit((_Atomic int64_t *)gauge, memory_order_relaxed);
}

/* ---- Labels --------------------------------------------------------------------------------- */

#define LABEL_MAX (2 * PAWL_METRICS_CLASS_MAX + 16)

/* class="...", with bytes escaped as the format demands. */
static const char *label_of(const pawl_metrics *metrics, size_t class, char *ret_label)
{
    const char *name = class < metrics->class_count ? metrics->patterns[class] : "other";
    static const char begin[] = "class=\"";
    memcpy(ret_label, begin, sizeof begin);
    char *out = ret_label + sizeof begin - 1;
    for (; *name; name++) {
        if (*name == '"' || *name == '\\') *out++ = '\\';
        *out++ = *name;
    }
    *out++ = '"';
    *out = '\0';
    return ret_label;
}

#define WORD_MAX 24

/* "timeout" of PAWL_ERR_TIMEOUT. */
static const char *word_of(size_t index, char *ret_word)
{
    const char *name = index ? pawl_err_name(-(int)index) : "PAWL_ERR_ACQUIRED";
    size_t i = 0;
    if (strncmp(name, "PAWL_ERR_", 9) != 0) name = "PAWL_ERR_OTHER";
    for (name += 9; *name && i < WORD_MAX - 1; name++) ret_word[i++] = (char)tolower(*name);
    ret_word[i] = '\0';
    return ret_word;
}

/* ---- Families ------------------------------------------------------------------------------- */

typedef const _Atomic uint64_t *(*count_fn)(const pawl__class_metrics *);

/* One line for each error; those in `always` even if nothing was counted, so that rates begin at
 * zero. */
static void put_by_error(output *out, const pawl_metrics *metrics, const char *name,
                         const char *key, count_fn counts_of, uint64_t always)
{
    char label[LABEL_MAX], word[WORD_MAX];
    for (size_t c = 0; c <= metrics->class_count; c++) {
        const _Atomic uint64_t *counts = counts_of(&metrics->classes[c]);
        for (size_t i = 0; i < PAWL__METRICS_ERRORS; i++) {
            uint64_t count = read_count(&counts[i]);
            if (!count && !(always & UINT64_C(1) << i)) continue;
            put(out, "%s{%s,%s=\"%s\"} %" PRIu64 "\n", name, label_of(metrics, c, label), key,
                word_of(i, word), count);
        }
    }
}

static const _Atomic uint64_t *acquisitions_of(const pawl__class_metrics *counts)
{
    return counts->acquisitions;
}

static const _Atomic uint64_t *losses_of(const pawl__class_metrics *counts)
{
    return counts->losses;
}

static void put_buckets(output *out, const char *name, const char *label, const char *comma,
                        const pawl__histogram *histogram, const pawl__buckets *buckets)
{
    uint64_t count = 0;
    for (size_t i = 0; i < buckets->count; i++) {
        count += read_count(&histogram->counts[i]);
        put(out, "%s_bucket{%s%sle=\"%g\"} %" PRIu64 "\n", name, label, comma, buckets->bounds[i],
            count);
    }
    count += read_count(&histogram->counts[buckets->count]);
    const char *open = *label ? "{" : "", *close = *label ? "}" : "";
    put(out, "%s_bucket{%s%sle=\"+Inf\"} %" PRIu64 "\n", name, label, comma, count);
    put(out, "%s_sum%s%s%s %.6f\n", name, open, label, close,
        (double)read_count(&histogram->sum) / 1e6);
    put(out, "%s_count%s%s%s %" PRIu64 "\n", name, open, label, close, count);
}

typedef const pawl__histogram *(*histogram_fn)(const pawl__class_metrics *);

static void put_histogram(output *out, const pawl_metrics *metrics, const char *name,
                          const char *help, histogram_fn histogram_of, const pawl__buckets *buckets)
{
    char label[LABEL_MAX];
    put_family(out, name, "histogram", help);
    for (size_t c = 0; c <= metrics->class_count; c++)
        put_buckets(out, name, label_of(metrics, c, label), ",", histogram_of(&metrics->classes[c]),
                    buckets);
}

static const pawl__histogram *wait_of(const pawl__class_metrics *counts)
{
    return &counts->wait;
}

static const pawl__histogram *hold_of(const pawl__class_metrics *counts)
{
    return &counts->hold;
}

static const pawl__histogram *margin_of(const pawl__class_metrics *counts)
{
    return &counts->margin;
}

/* ---- Locks ---------------------------------------------------------------------------------- */

static void put_gauges(output *out, const pawl_metrics *metrics)
{
    char label[LABEL_MAX];
    put_family(out, "pawl_held", "gauge", "Locks held now.");
    for (size_t c = 0; c <= metrics->class_count; c++)
        put(out, "pawl_held{%s} %" PRId64 "\n", label_of(metrics, c, label),
            read_gauge(&metrics->classes[c].held));
    put_family(out, "pawl_waiting", "gauge", "Calls that wait for a lock now.");
    for (size_t c = 0; c <= metrics->class_count; c++)
        put(out, "pawl_waiting{%s} %" PRId64 "\n", label_of(metrics, c, label),
            read_gauge(&metrics->classes[c].waiting));
}

static void put_releases(output *out, const pawl_metrics *metrics)
{
    char label[LABEL_MAX];
    put_family(out, "pawl_releases_total", "counter",
               "Locks given back, by what became of the lease.");
    for (size_t c = 0; c <= metrics->class_count; c++) {
        const pawl__class_metrics *counts = &metrics->classes[c];
        label_of(metrics, c, label);
        put(out, "pawl_releases_total{%s,lease=\"released\"} %" PRIu64 "\n", label,
            read_count(&counts->released));
        put(out, "pawl_releases_total{%s,lease=\"retained\"} %" PRIu64 "\n", label,
            read_count(&counts->retained));
        put(out, "pawl_releases_total{%s,lease=\"detached\"} %" PRIu64 "\n", label,
            read_count(&counts->detached));
    }
}

static void put_doubts(output *out, const pawl_metrics *metrics)
{
    char label[LABEL_MAX];
    put_family(out, "pawl_doubts_total", "counter", "Renewals that were overdue.");
    for (size_t c = 0; c <= metrics->class_count; c++)
        put(out, "pawl_doubts_total{%s} %" PRIu64 "\n", label_of(metrics, c, label),
            read_count(&metrics->classes[c].doubts));
}

static void put_locks(output *out, const pawl_metrics *metrics)
{
    static const uint64_t results =
        1u | UINT64_C(1) << -PAWL_ERR_BUSY | UINT64_C(1) << -PAWL_ERR_TIMEOUT;
    put_family(out, "pawl_acquisitions_total", "counter", "Acquisitions that ended, by result.");
    put_by_error(out, metrics, "pawl_acquisitions_total", "result", acquisitions_of, results);
    put_histogram(out, metrics, "pawl_acquire_wait_seconds",
                  "How long acquisitions that succeeded had waited.", wait_of, &pawl__wait_buckets);
    put_histogram(out, metrics, "pawl_hold_seconds", "How long locks were held.", hold_of,
                  &pawl__hold_buckets);
    put_gauges(out, metrics);
    put_histogram(out, metrics, "pawl_renewal_margin_ratio",
                  "What part of the ttl was left until the local deadline when a renewal was "
                  "confirmed. About 0.56 is usual; less warns of losses to come.",
                  margin_of, &pawl__margin_buckets);
    put_doubts(out, metrics);
    put_family(out, "pawl_losses_total", "counter", "Locks lost while held, by reason.");
    put_by_error(out, metrics, "pawl_losses_total", "reason", losses_of,
                 UINT64_C(1) << -PAWL_ERR_LOST);
    put_releases(out, metrics);
}

/* ---- The store ------------------------------------------------------------------------------ */

static void put_counter(output *out, const char *name, const char *help, uint64_t count)
{
    put_family(out, name, "counter", help);
    put(out, "%s %" PRIu64 "\n", name, count);
}

static void put_store(output *out, const pawl_metrics *metrics)
{
    static const char *const links[] = {"unknown", "up", "down"};
    put_family(out, "pawl_clients", "gauge", "Clients that are open, by their link to the store.");
    for (size_t i = 0; i < 3; i++)
        put(out, "pawl_clients{link=\"%s\"} %" PRId64 "\n", links[i],
            read_gauge(&metrics->clients[i]));
    put_counter(out, "pawl_reconnects_total", "Links to a store that came up again.",
                read_count(&metrics->reconnects));
    put_family(out, "pawl_requests_total", "counter", "Requests to a store.");
    for (size_t i = 0; i < PAWL_VERB_COUNT; i++)
        put(out, "pawl_requests_total{verb=\"%s\"} %" PRIu64 "\n", pawl__verb_name((pawl_verb)i),
            read_count(&metrics->requests[i]));
    put_family(out, "pawl_replies_total", "counter", "Replies of a store.");
    for (size_t i = 0; i <= PAWL_UNKNOWN; i++)
        put(out, "pawl_replies_total{outcome=\"%s\"} %" PRIu64 "\n",
            pawl__outcome_name((pawl_outcome)i), read_count(&metrics->replies[i]));
    put_family(out, "pawl_round_trip_seconds", "histogram",
               "From a request to its reply, as the client sees it.");
    put_buckets(out, "pawl_round_trip_seconds", "", "", &metrics->round_trip,
                &pawl__round_trip_buckets);
    put_counter(out, "pawl_hand_offs_total", "Locks that the store handed to a waiter here.",
                read_count(&metrics->hand_offs));
}

/* The end is an instant, so it needs nobody to say that it has come. */
static void put_guard(output *out, const pawl_metrics *metrics)
{
    int64_t until = read_gauge(&metrics->guard_until);
    int64_t left_ns = until ? until - pawl__now() : 0;
    if (left_ns < 0) left_ns = 0;
    put_family(out, "pawl_guard_active", "gauge",
               "1 while a store's restart guard grants nothing new.");
    put(out, "pawl_guard_active %d\n", left_ns > 0);
    put_family(out, "pawl_guard_left_seconds", "gauge", "How long it will go on.");
    put(out, "pawl_guard_left_seconds %.3f\n", (double)left_ns / 1e9);
    put_counter(out, "pawl_guards_total", "Restart guards that were met.",
                read_count(&metrics->guards));
}

int pawl_metrics_write(const pawl_metrics *metrics, pawl_write_fn fn, void *userdata)
{
    if (!metrics || !fn) return PAWL_ERR_ARGUMENT;
    output out = {.fn = fn, .userdata = userdata};
    put_locks(&out, metrics);
    put_store(&out, metrics);
    put_guard(&out, metrics);
    put_family(&out, "pawl_clock_drift_seconds_total", "counter",
               "By how much the system's two clocks ran apart.");
    put(&out, "pawl_clock_drift_seconds_total %.9f\n",
        (double)read_count(&metrics->drift_ns) / 1e9);
    put_counter(&out, "pawl_broken_total", "Times that pawl or the system failed (law 10).",
                read_count(&metrics->broken));
    return out.ended ? PAWL_ERR_CANCELED : PAWL_OK;
}
