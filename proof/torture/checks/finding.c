/* SPDX-License-Identifier: MIT */
/* What a check says about a history: kept in the report, printed later. */
#include "report.h"

#include <stdarg.h>
#include <stdio.h>

void torture_guilty(torture_report *report, const char *format, ...)
{
    report->violations[report->running]++;
    if (report->shown_count == TORTURE_SHOWN_MAX) return;
    va_list args;
    va_start(args, format);
    char *line = report->shown[report->shown_count++];
    int len = snprintf(line, sizeof report->shown[0], "%s: ", report->looks_now);
    vsnprintf(line + len, sizeof report->shown[0] - (size_t)len, format, args);
    va_end(args);
}

void torture_thin(torture_report *report, const char *format, ...)
{
    if (report->thin_count == sizeof report->thin / sizeof report->thin[0]) return;
    va_list args;
    va_start(args, format);
    vsnprintf(report->thin[report->thin_count++], sizeof report->thin[0], format, args);
    va_end(args);
}

int64_t torture_violations(const torture_report *report)
{
    int64_t sum = 0;
    const size_t count = sizeof report->violations / sizeof report->violations[0];
    for (size_t i = 0; i < count; i++) sum += report->violations[i];
    return sum;
}
