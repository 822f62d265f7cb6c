/* SPDX-License-Identifier: MIT */
#include "plan.h"
#include "../base/mutant.h"
#include "pawl/store.h"

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
    if (value < low) return low;
    return value > high ? high : value;
}

/*
 * The store has promised `term`, counted from a later instant than ours. This is the part that we
 * trust: term less the margin of law 2, which is max(term/10, 5 ms) + 2 ms. NTP may slow a clock
 * down by up to 8.3 %.
 */
static int64_t trusted_part(int64_t term)
{
    int64_t tenth = term / 10, least = 5 * PAWL__NS_PER_MS;
    int64_t margin = (tenth > least ? tenth : least) + 2 * PAWL__NS_PER_MS;
    if (PAWL_MUTANT(no_margin)) margin = 0;
    return term > margin ? term - margin : 0;
}

int64_t pawl__plan_span_ns(int64_t ttl_ms)
{
    if (PAWL_MUTANT(no_deadline)) return PAWL__NEVER / 2;
    if (PAWL_MUTANT(narrow_arithmetic)) return (int32_t)(ttl_ms * 900000);
    return trusted_part(pawl__ms_to_ns(ttl_ms));
}

int64_t pawl__plan_place_ns(int64_t ttl_ms)
{
    if (PAWL_MUTANT(handed_for_a_ttl)) return pawl__plan_span_ns(ttl_ms);
    return trusted_part(pawl_place_span(pawl__ms_to_ns(ttl_ms)));
}

int64_t pawl__plan_renew_ns(int64_t ttl_ms)
{
    if (PAWL_MUTANT(renew_at_ttl)) return pawl__ms_to_ns(ttl_ms);
    if (PAWL_MUTANT(renew_at_two_thirds)) return pawl__ms_to_ns(ttl_ms) * 2 / 3;
    /* For the shortest ttls a third would come after the deadline: then it is half of the span. */
    return pawl__instant_min(pawl__ms_to_ns(ttl_ms) / 3, pawl__plan_span_ns(ttl_ms) / 2);
}

int64_t pawl__plan_retry_ns(int64_t ttl_ms)
{
    return clamp(pawl__ms_to_ns(ttl_ms) / 12, 2 * PAWL__NS_PER_MS, 2000 * PAWL__NS_PER_MS);
}

int64_t pawl__plan_enough_ns(int64_t ttl_ms)
{
    int64_t quarter = pawl__ms_to_ns(ttl_ms) / 4;
    int64_t slow_answer = pawl__plan_confirm_ns(ttl_ms) + pawl__plan_answer_ns(ttl_ms);
    return quarter > slow_answer ? quarter : slow_answer;
}

int64_t pawl__plan_confirm_ns(int64_t ttl_ms)
{
    return pawl__instant_min(pawl__ms_to_ns(ttl_ms) / 12, 250 * PAWL__NS_PER_MS);
}

int64_t pawl__plan_answer_ns(int64_t ttl_ms)
{
    return clamp(pawl__ms_to_ns(ttl_ms) / 6, 100 * PAWL__NS_PER_MS, 5000 * PAWL__NS_PER_MS);
}
