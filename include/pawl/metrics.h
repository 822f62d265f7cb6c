/* SPDX-License-Identifier: MIT */
/*
 * pawl/metrics.h - counts what clients do, and writes it as text for Prometheus.
 *
 * One object counts for any number of clients (pawl_open_opts.metrics). It has no thread and no
 * socket: a program calls pawl_metrics_write when somebody asks, and passes the text on. What is
 * counted is in pawl_metrics(3). The name of a lock is never a label: a program may use any number
 * of names, and each would stay a series for ever. A *class* stands for a name: the first of the
 * configured patterns that fits, or "other".
 *
 * Threads: all functions from any thread. Counting takes no lock and allocates nothing.
 */
#ifndef PAWL_METRICS_H
#define PAWL_METRICS_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PAWL_METRICS_CLASSES_MAX 32 /* patterns (law 8) */
#define PAWL_METRICS_CLASS_MAX   64 /* bytes of a pattern, NUL not counted */

typedef struct pawl_metrics pawl_metrics;

typedef struct pawl_metrics_opts {
    size_t size;                /* set by pawl_metrics_opts_init */
    const char *const *classes; /* patterns of names, copied: * stands for any bytes, ? for one.
                                   The first that fits counts. NULL: all names are "other" */
    size_t class_count;
} pawl_metrics_opts;

/* Sets the defaults; see pawl_open_opts_init. Since 0.2. */
PAWL_API void pawl_metrics_opts_init_sized(pawl_metrics_opts *opts, size_t size);
#define pawl_metrics_opts_init(o) pawl_metrics_opts_init_sized((o), sizeof(pawl_metrics_opts))

/*
 * Makes an object with all counts at zero. opts NULL: defaults. Errors: PAWL_ERR_ARGUMENT (too many
 * patterns, one that is empty, too long or not printable), _UNSUPPORTED, _NO_MEMORY. Since 0.2.
 */
PAWL_API PAWL_MUST_USE int pawl_metrics_new(const pawl_metrics_opts *opts,
                                            pawl_metrics **ret_metrics);

/*
 * Gives up the caller's reference. Clients that count into the object keep their own until they are
 * closed. NULL is allowed. Always returns NULL. Since 0.2.
 */
PAWL_API pawl_metrics *pawl_metrics_free(pawl_metrics *metrics);

/* Receives a piece of the text; false ends the writing. */
typedef bool (*pawl_write_fn)(const char *text, size_t len, void *userdata);

/*
 * Writes all metrics in Prometheus' text format, version 0.0.4, on the calling thread. Counts that
 * change meanwhile are the old or the new ones. Errors: PAWL_ERR_ARGUMENT, _CANCELED (fn said
 * false). Since 0.2.
 */
PAWL_API PAWL_MUST_USE int pawl_metrics_write(const pawl_metrics *metrics, pawl_write_fn fn,
                                              void *userdata);

#ifdef __cplusplus
}
#endif
#endif
