/* SPDX-License-Identifier: MIT */
/* The table. */
#include "checks.h"

#include <inttypes.h>

#define HEAD "%-21s%8s%7s%8s%8s%8s%8s%9s%8s%7s%9s%14s%12s\n"

static const char *verdict(const torture_report *r)
{
    if (torture_violations(r)) return "GUILTY";
    return r->thin_count ? "TOO THIN" : "held";
}

static void print_row(const torture_report *r)
{
    printf("%-21s%8" PRId64 "%7" PRId64 "%8" PRId64 "%8.1f%8.0f%8.0f%9" PRId64 "%8" PRId64
           "%7" PRId64 "%9" PRId64 "%7" PRId64 "/%-6" PRId64 "%5" PRId64 "/%-6" PRId64 " %s\n",
           r->setup, r->grants, r->faults, r->losses, (double)r->wait_p50_us / 1e3,
           (double)r->wait_p99_us / 1e3, (double)r->wait_max_us / 1e3, r->recovered_ms,
           r->violations[TORTURE_CHECK_exclusion], r->exempt, r->refused,
           r->violations[TORTURE_CHECK_resource], r->fenced, r->plain_lost, r->plain, verdict(r));
}

static void print_details(const torture_report *r)
{
    for (size_t i = 0; i < torture_check_count && torture_violations(r); i++) {
        if (!r->violations[i]) continue;
        const torture_check *check = &torture_checks[i];
        printf("%s: %s (\"%s\") was violated %" PRId64 " times\n", r->setup, check->name,
               check->property, r->violations[i]);
    }
    for (size_t i = 0; i < r->shown_count; i++) printf("  %s\n", r->shown[i]);
    for (size_t i = 0; i < r->thin_count; i++) printf("%s: too thin: %s\n", r->setup, r->thin[i]);
}

void torture_reports_print(const torture_report *reports, size_t count)
{
    printf(HEAD, "", "", "", "told of", "wait", "wait", "wait", "all well", "two at", "", "",
           "lost,", "lost,");
    printf(HEAD, "setup", "grants", "faults", "a loss", "p50 ms", "p99 ms", "max ms", "after ms",
           "once", "exempt", "refused", "fenced/of", "not/of");
    for (size_t i = 0; i < count; i++) print_row(&reports[i]);
    for (size_t i = 0; i < count; i++) print_details(&reports[i]);
}

int torture_reports_exit(const torture_report *reports, size_t count)
{
    int code = TORTURE_OK;
    for (size_t i = 0; i < count; i++) {
        if (torture_violations(&reports[i])) return TORTURE_GUILTY;
        if (reports[i].thin_count) code = TORTURE_THIN;
    }
    return code;
}
