/* SPDX-License-Identifier: MIT */
#include "checks.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

_Static_assert(TORTURE_CHECK_COUNT <= TORTURE_CHECKS_MAX, "each has its place in a report");

const torture_check torture_checks[] = {
#define TORTURE_CHECK_ENTRY(name, property) {#name, property, torture_check_##name},
    TORTURE_CHECK_LIST(TORTURE_CHECK_ENTRY)
#undef TORTURE_CHECK_ENTRY
};
const size_t torture_check_count = sizeof torture_checks / sizeof torture_checks[0];

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static void measure_waits(const torture_hold *holds, size_t count, torture_report *report)
{
    if (!count) return;
    int64_t *waits = calloc(count, sizeof *waits);
    if (!waits) exit(TORTURE_SYSTEM);
    for (size_t i = 0; i < count; i++) waits[i] = (holds[i].start - holds[i].asked) / 1000;
    qsort(waits, count, sizeof *waits, by_size);
    report->wait_p50_us = waits[count / 2];
    report->wait_p99_us = waits[count - 1 - count / 100];
    report->wait_max_us = waits[count - 1];
    free(waits);
}

/* A run in which little happened, or in which a fault that was asked for never came, is refused. */
static void weigh(const torture_history *h, torture_report *report)
{
    if (report->grants < h->grants_min) {
        torture_thin(report, "%" PRId64 " grants, at least %" PRId64 " are wanted", report->grants,
                     h->grants_min);
    }
    for (size_t i = 0; i < h->chosen_count; i++) {
        bool fired = false;
        for (size_t k = 0; k < h->hit_count; k++) {
            if (strcmp(h->hits[k].fault, h->chosen[i]) == 0) fired = true;
        }
        if (!fired) torture_thin(report, "the fault %s never fired", h->chosen[i]);
    }
}

void torture_judge(const torture_history *history, torture_report *ret_report)
{
    size_t count = 0;
    torture_hold *holds = torture_holds(history, &count);
    *ret_report = (torture_report){.grants = (int64_t)count, .faults = (int64_t)history->hit_count};
    snprintf(ret_report->setup, sizeof ret_report->setup, "%s", history->setup);
    for (size_t i = 0; i < torture_check_count; i++) {
        ret_report->running = i;
        ret_report->looks_now = torture_checks[i].name;
        torture_checks[i].run(history, holds, count, ret_report);
    }
    measure_waits(holds, count, ret_report);
    weigh(history, ret_report);
    free(holds);
}
