/* SPDX-License-Identifier: MIT */
/* When the faults are over, everybody gets the lock in time, and keeps it. */
#include "check.h"

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

void check_waited(sim *s, const sim_caller *caller)
{
    int64_t since = later(caller->began, s->config.heal_ms * SIM_MS);
    if (s->phase == SIM_FAULTS || s->t - since <= sim_patience(s)) return;
    sim_fail(s, "starved", "caller %d waited %.3f ms with no fault left", caller->number,
             (double)(s->t - since) / 1e6);
}

void check_starved(sim *s)
{
    for (int i = 0; i < s->caller_count; i++) {
        const sim_caller *caller = &s->callers[i];
        if (caller->state == SIM_CALLER_IDLE) continue;
        sim_fail(s, "starved", "caller %d: %s for %.3f ms, and no fault is left", i,
                 caller->state == SIM_CALLER_WAITING ? "waits" : "is not done",
                 (double)(s->t - caller->began) / 1e6);
        return;
    }
}

void check_steady(sim *s, const sim_caller *caller, pawl_err err)
{
    bool quiet = s->config.fault_count == 0 && s->config.tail_per_thousand == 0;
    int64_t steady_from = s->config.heal_ms * SIM_MS + 3 * SIM_MS * s->config.ttl_ms;
    if (!quiet && (s->phase == SIM_FAULTS || caller->granted_at < steady_from)) return;
    if (s->clients[caller->client].closing || s->config.algorithm != SIM_PAWL) return;
    if (s->seen.drifted) return;
    sim_fail(s, "steady", "caller %d lost its lock (%s) though nothing was wrong", caller->number,
             pawl_err_name(err));
}
