/* SPDX-License-Identifier: MIT */
/* One measurement: n threads, each with a client of its own, take one lock in turn. */
#ifndef PAWL_CLI_BENCH_PHASE_H
#define PAWL_CLI_BENCH_PHASE_H

#include <stdbool.h>
#include <stdint.h>

#include "histogram.h"
#include "options.h"
#include "store.h"

typedef struct bench_plan {
    const cli_common *common;
    const cli_store *store;
    const char *key;
    const char *title;
    int threads;
    int64_t duration_ms;
    int64_t hold_ms;
    int64_t retain_ms;
    int64_t ttl_ms;
} bench_plan;

typedef struct bench_result {
    double seconds;
    uint64_t pairs;       /* acquisitions that were released */
    uint64_t overlaps;    /* times that two were inside at once: must be 0 */
    uint64_t fence_slips; /* fences that did not grow: must be 0 */
    histogram waits;      /* from asking to holding */
} bench_result;

/* Runs it, showing progress on stderr. 0 or an exit code after one line. */
int bench_phase_run(const bench_plan *plan, bench_result *ret_result);

/* Ends the running phase early; what was measured counts. Async-signal-safe. */
void bench_phase_stop(void);
bool bench_phase_was_stopped(void);

#endif
