/* SPDX-License-Identifier: MIT */
#include "run_plan.h"

#include <stdio.h>

#include "duration.h"
#include "pawl/types.h"

#define LEAD_MS        100 /* a KILL takes one or two scheduling delays */
#define RTT_TIMEOUT_MS 500 /* the longest that one answer of a healthy store may take */

/* The margin and the interval of the engine (src/engine/plan.c); a test compares the numbers. */
#define RENEWALS_PER_TTL 3

/* The margin of law 2 for clocks that are slewed. */
static int64_t margin_ms(int64_t ttl_ms)
{
    int64_t tenth = ttl_ms / 10;
    return (tenth > 5 ? tenth : 5) + 2;
}

static int64_t rtt_ms(int64_t ttl_ms)
{
    int64_t twentieth = ttl_ms / 20 + 1;
    return twentieth < RTT_TIMEOUT_MS ? twentieth : RTT_TIMEOUT_MS;
}

/* The instant of the renewal, rounded up. */
static int64_t renewal_ms(int64_t ttl_ms)
{
    return (ttl_ms + RENEWALS_PER_TTL - 1) / RENEWALS_PER_TTL;
}

/*
 * The longest grace that leaves time for the renewal and for two answers before the TERM: else a
 * single lost packet would stop the command.
 */
static int64_t grace_max_ms(int64_t ttl_ms)
{
    return ttl_ms - margin_ms(ttl_ms) - renewal_ms(ttl_ms) - 2 * rtt_ms(ttl_ms);
}

/* Less than would fit, because on a busy machine renewals may need a second and third try. */
static int64_t default_grace_ms(int64_t ttl_ms)
{
    int64_t quarter = ttl_ms / 4;
    return quarter < RUN_GRACE_DEFAULT_MS ? quarter : RUN_GRACE_DEFAULT_MS;
}

static int64_t lead_for(int64_t ttl_ms)
{
    int64_t tenth = ttl_ms / 10;
    return tenth < LEAD_MS ? tenth : LEAD_MS;
}

static int64_t least_ttl_ms(int64_t grace_ms)
{
    int64_t ttl = PAWL_TTL_MIN_MS;
    while (ttl < PAWL_TTL_MAX_MS &&
           (grace_max_ms(ttl) < grace_ms || grace_max_ms(ttl) < lead_for(ttl))) {
        ttl += ttl < 1000 ? 1 : ttl / 100;
    }
    return ttl;
}

static void say_no_time(int64_t ttl_ms, char *reterr_why, size_t why_size)
{
    char ttl[CLI_DURATION_TEXT], least[CLI_DURATION_TEXT];
    snprintf(reterr_why, why_size, "--ttl %s leaves no time to stop a command: take %s or more",
             cli_duration_exact(ttl_ms, ttl), cli_duration_exact(least_ttl_ms(0), least));
}

static void say_grace_too_long(int64_t ttl_ms, int64_t grace_ms, char *reterr_why, size_t why_size)
{
    char ttl[CLI_DURATION_TEXT], grace[CLI_DURATION_TEXT], renewal[CLI_DURATION_TEXT];
    char answer[CLI_DURATION_TEXT], margin[CLI_DURATION_TEXT], sum[CLI_DURATION_TEXT];
    char fits[CLI_DURATION_TEXT], longer[CLI_DURATION_TEXT];
    int64_t most = grace_max_ms(ttl_ms);
    cli_duration_exact(grace_ms, grace);
    snprintf(reterr_why, why_size,
             "--grace %s does not fit into --ttl %s: renewal after %s + grace %s + answers 2 x %s "
             "+ margin %s = %s; take --grace %s or --ttl %s",
             grace, cli_duration_exact(ttl_ms, ttl),
             cli_duration_exact(renewal_ms(ttl_ms), renewal), grace,
             cli_duration_exact(rtt_ms(ttl_ms), answer),
             cli_duration_exact(margin_ms(ttl_ms), margin),
             cli_duration_exact(ttl_ms - most + grace_ms, sum), cli_duration_exact(most, fits),
             cli_duration_exact(least_ttl_ms(grace_ms), longer));
}

bool run_plan_make(int64_t ttl_ms, int64_t grace_ms, run_plan *ret_plan, char *reterr_why,
                   size_t why_size)
{
    int64_t most = grace_max_ms(ttl_ms), lead = lead_for(ttl_ms);
    if (most < lead) {
        say_no_time(ttl_ms, reterr_why, why_size);
        return false;
    }
    if (grace_ms > most) {
        say_grace_too_long(ttl_ms, grace_ms, reterr_why, why_size);
        return false;
    }
    int64_t grace = grace_ms >= 0 ? grace_ms : default_grace_ms(ttl_ms);
    if (grace > most) grace = most;
    if (grace < lead) grace = lead;
    /* A lease that was handed on is shorter until its first renewal, which follows at once. */
    int64_t start = grace + 2 * rtt_ms(ttl_ms);
    *ret_plan = (run_plan){.ttl_ms = ttl_ms, .grace_ms = grace, .lead_ms = lead, .start_ms = start};
    return true;
}

/* What the delay leaves for the grace: a longer lease is renewed later. */
static int64_t grace_beside_delay_ms(int64_t ttl_ms, int64_t delay_ms)
{
    return grace_max_ms(ttl_ms + delay_ms) - delay_ms;
}

static int64_t longest_delay_ms(const run_plan *plan)
{
    int64_t fits = 0, too_long = 2 * plan->ttl_ms;
    while (too_long - fits > 1) {
        int64_t middle = fits + (too_long - fits) / 2;
        if (grace_beside_delay_ms(plan->ttl_ms, middle) >= plan->grace_ms)
            fits = middle;
        else
            too_long = middle;
    }
    return fits;
}

bool run_plan_add_delay(run_plan *plan, int64_t delay_ms, char *reterr_why, size_t why_size)
{
    char delay[CLI_DURATION_TEXT], ttl[CLI_DURATION_TEXT], grace[CLI_DURATION_TEXT],
        renewal[CLI_DURATION_TEXT], most[CLI_DURATION_TEXT];
    if (delay_ms <= 0) return true;
    if (grace_beside_delay_ms(plan->ttl_ms, delay_ms) < plan->grace_ms) {
        snprintf(reterr_why, why_size,
                 "--lock-delay %s is too long for --ttl %s and --grace %s: a lease that lasts for "
                 "both is renewed after %s; take --lock-delay %s or a longer --ttl",
                 cli_duration_exact(delay_ms, delay), cli_duration_exact(plan->ttl_ms, ttl),
                 cli_duration_exact(plan->grace_ms, grace),
                 cli_duration_exact(renewal_ms(plan->ttl_ms + delay_ms), renewal),
                 cli_duration_exact(longest_delay_ms(plan), most));
        return false;
    }
    plan->start_ms += 2 * (rtt_ms(plan->ttl_ms + delay_ms) - rtt_ms(plan->ttl_ms));
    plan->ttl_ms += delay_ms;
    plan->delay_ms = delay_ms;
    return true;
}
