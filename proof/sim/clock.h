/* SPDX-License-Identifier: MIT */
/*
 * Clocks that tick at their own rate, and may be stepped. True time is in ns from the
 * beginning of the run. A rate changes without a jump.
 */
#ifndef PAWL_SIM_CLOCK_H
#define PAWL_SIM_CLOCK_H

#include "../../src/base/instant.h"

typedef struct sim_clock {
    int64_t since;    /* true time of the last change */
    int64_t reads;    /* what the clock showed then */
    int64_t rate_ppm; /* how much faster than true time it ticks */
} sim_clock;

/* span * ppm / 1 000 000 without overflow. */
static inline int64_t sim_clock_part(int64_t span, int64_t ppm)
{
    return span / 1000000 * ppm + span % 1000000 * ppm / 1000000;
}

static inline int64_t sim_clock_read(const sim_clock *clock, int64_t t)
{
    int64_t span = t - clock->since;
    return clock->reads + span + sim_clock_part(span, clock->rate_ppm);
}

static inline void sim_clock_set_rate(sim_clock *clock, int64_t t, int64_t rate_ppm)
{
    clock->reads = sim_clock_read(clock, t);
    clock->since = t;
    clock->rate_ppm = rate_ppm;
}

static inline void sim_clock_step(sim_clock *clock, int64_t t, int64_t by_ns)
{
    clock->reads = sim_clock_read(clock, t) + by_ns;
    clock->since = t;
}

/* The first true instant at which the clock shows `reading`, if it goes on like this. */
static inline int64_t sim_clock_when(const sim_clock *clock, int64_t reading)
{
    if (reading >= PAWL__NEVER / 2) return PAWL__NEVER;
    int64_t span = reading - clock->reads, whole = 1000000 + clock->rate_ppm;
    int64_t t = clock->since + span / whole * 1000000 + span % whole * 1000000 / whole;
    while (sim_clock_read(clock, t) < reading) t++;
    while (t > clock->since && sim_clock_read(clock, t - 1) >= reading) t--;
    return t;
}

#endif
