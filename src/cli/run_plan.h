/* SPDX-License-Identifier: MIT */
/*
 * The timeline of `run`. T is the local deadline: the command must be dead by then.
 *
 *   renewed ...... ttl/3: renewal fails, is retried ...... T-grace: TERM ...... T-lead: KILL ... T
 *
 * Pure arithmetic, in milliseconds.
 */
#ifndef PAWL_CLI_RUN_PLAN_H
#define PAWL_CLI_RUN_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RUN_GRACE_DEFAULT_MS 5000

typedef struct run_plan {
    int64_t ttl_ms;   /* of the lease, the delay included */
    int64_t delay_ms; /* from T to the end of the lease: --lock-delay */
    int64_t grace_ms; /* from TERM to T */
    int64_t lead_ms;  /* from KILL to T */
    int64_t start_ms; /* the command is not started if less than this is left before T */
} run_plan;

/*
 * Fits a grace into a ttl: grace_ms < 0 asks for the default, 5 s but at most a
 * quarter of the ttl. False, with one line in reterr_why, when the requested grace does not fit.
 */
bool run_plan_make(int64_t ttl_ms, int64_t grace_ms, run_plan *ret_plan, char *reterr_why,
                   size_t why_size);

/*
 * Makes the lease last delay_ms longer than T. False, with one line in reterr_why, if it would then
 * be renewed too late for the grace.
 */
bool run_plan_add_delay(run_plan *plan, int64_t delay_ms, char *reterr_why, size_t why_size);

#endif
