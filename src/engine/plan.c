/* SPDX-License-Identifier: MIT */
#include "plan.h"
#include "../base/mutant.h"

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
    if (value < low) return low;
    return value > high ? high : value;
}

int64_t pawl__plan_margin_ns(int64_t ttl_ms)
{
    if (PAWL_MUTANT(no_margin)) return 0;
    int64_t tenth = pawl__ms_to_ns(ttl_ms) / 10;
    int64_t least = 5 * PAWL__NS_PER_MS;
    return (tenth > least ? tenth : least) + 2 * PAWL__NS_PER_MS;
}

int64_t pawl__plan_span_ns(int64_t ttl_ms)
{
    if (PAWL_MUTANT(no_deadline)) return PAWL__NEVER / 2;
    if (PAWL_MUTANT(narrow_arithmetic)) return (int32_t)(ttl_ms * 900000);
    int64_t span = pawl__ms_to_ns(ttl_ms) - pawl__plan_margin_ns(ttl_ms);
    return span > 0 ? span : 0;
}

int64_t pawl__plan_renew_ns(int64_t ttl_ms)
{
    if (PAWL_MUTANT(renew_at_ttl)) return pawl__ms_to_ns(ttl_ms);
    /* For the shortest ttls a third lies behind the deadline: half of the span then. */
    return pawl__instant_min(pawl__ms_to_ns(ttl_ms) / 3, pawl__plan_span_ns(ttl_ms) / 2);
}

int64_t pawl__plan_retry_ns(int64_t ttl_ms)
{
    return clamp(pawl__ms_to_ns(ttl_ms) / 12, 2 * PAWL__NS_PER_MS, 2000 * PAWL__NS_PER_MS);
}

int64_t pawl__plan_answer_ns(int64_t ttl_ms)
{
    return clamp(pawl__ms_to_ns(ttl_ms) / 6, 100 * PAWL__NS_PER_MS, 5000 * PAWL__NS_PER_MS);
}
