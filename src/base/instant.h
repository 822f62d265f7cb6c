/* SPDX-License-Identifier: MIT */
/*
 * Instants and spans of the client's clock, in ns; arithmetic that clamps
 * instead of overflowing. Nothing here reads a clock: `now` is always passed in.
 */
#ifndef PAWL_BASE_INSTANT_H
#define PAWL_BASE_INSTANT_H

#include <stdint.h>

#define PAWL__NS_PER_MS INT64_C(1000000)
#define PAWL__NS_PER_US INT64_C(1000)
#define PAWL__NEVER     INT64_MAX /* an instant that does not come */

/* t + span for span >= 0; NEVER stays NEVER, sums clamp to it. */
static inline int64_t pawl__instant_add(int64_t t, int64_t span_ns)
{
    int64_t sum;
    return __builtin_add_overflow(t, span_ns, &sum) ? PAWL__NEVER : sum;
}

static inline int64_t pawl__ms_to_ns(int64_t ms)
{
    int64_t ns;
    return __builtin_mul_overflow(ms, PAWL__NS_PER_MS, &ns) ? PAWL__NEVER : ns;
}

/* From now until t in whole ms, rounded down, never negative: what is safe to promise. */
static inline int64_t pawl__ms_until(int64_t now, int64_t t)
{
    return t <= now ? 0 : (t - now) / PAWL__NS_PER_MS;
}

static inline int64_t pawl__instant_max(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static inline int64_t pawl__instant_min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

#endif
