/* SPDX-License-Identifier: MIT */
/* One measurement: threads acquire and release, for so long, and are watched meanwhile. */
#ifndef PAWL_BENCH_PHASE_H
#define PAWL_BENCH_PHASE_H

#include <stdbool.h>
#include <stdint.h>

#include "../../../src/cli/options.h"
#include "../../../src/cli/store.h"
#include "histogram.h"
#include "relay.h"

typedef enum bench_kind {
    BENCH_UNCONTENDED = 0, /* one thread, one name */
    BENCH_CONTENDED,       /* threads with a client each, one name */
    BENCH_CACHED,          /* one thread, one name, the lease is kept between acquisitions */
    BENCH_THREADS,         /* threads of one client, a name each */
    BENCH_NAMES,           /* threads of one client, many names in turn */
    BENCH_READERS,         /* threads with a client each, one name, shared */
    BENCH_PERMITS,         /* threads with a client each, one semaphore */
    BENCH_SEVERAL,         /* one thread, several names at once: all or none */
    BENCH_KINDS
} bench_kind;

/* "uncontended" and so on: for --only and for programs. */
extern const char *const bench_kind_names[BENCH_KINDS];

typedef struct bench_phase {
    bench_kind kind;
    int threads;
    int names; /* BENCH_NAMES: at least as many as threads; PERMITS: so many; SEVERAL: at once */
} bench_phase;

/* What is the same for all measurements. */
typedef struct bench_setup {
    const cli_common *common;
    const cli_store *store;
    const char *key; /* further names begin with it */
    int64_t duration_ms;
    int64_t hold_ms;
    int64_t ttl_ms;
    const char *progress; /* what goes before the phase's title on stderr; NULL: show none */
} bench_setup;

typedef struct bench_result {
    bench_phase phase;
    double seconds;
    uint64_t pairs;     /* acquisitions within the time, and their releases */
    uint64_t all_pairs; /* with those that ended after it */
    uint64_t handovers; /* acquisitions by another thread than the one before */
    double jain;        /* fairness: 1 when all threads got it equally often */
    double commands;    /* that the server got for each acquisition; negative: not counted */
    uint64_t overlaps;  /* times that two were inside at once: must be 0 */
    uint64_t slips;     /* fences that did not grow: must be 0 */
    histogram waits;    /* from asking to holding */
} bench_result;

/* "8 clients, one key". Returns buf. */
#define BENCH_TITLE_MAX 48
const char *bench_phase_title(const bench_phase *phase, char buf[BENCH_TITLE_MAX]);

/*
 * Runs it. 0 or an exit code after one line. relay: NULL, or what the store of this setup
 * is reached through: then ret_result->commands is set.
 */
int bench_phase_run(const bench_setup *setup, const bench_phase *phase, const bench_relay *relay,
                    bench_result *ret_result);

/* Ends the running phase early; what was measured counts. Async-signal-safe. */
void bench_phase_stop(void);
bool bench_phase_was_stopped(void);

#endif
