/* SPDX-License-Identifier: MIT */
/* What the checks found in one history. */
#ifndef PAWL_TORTURE_REPORT_H
#define PAWL_TORTURE_REPORT_H

#include "history_read.h"

#define TORTURE_SHOWN_MAX 20 /* violations that are printed; all are counted */

#define TORTURE_CHECKS_MAX 24

typedef struct torture_report {
    char setup[32];
    int64_t grants;
    int64_t faults; /* times that one was dealt */
    int64_t wait_p50_us, wait_p99_us, wait_max_us;
    int64_t recovered_ms; /* from the last fault until everybody has had every lock; -1: never */
    int64_t exempt;       /* overlaps that docs/guarantees.md announces */
    int64_t fenced, refused, plain, plain_lost;
    int64_t losses; /* holders that were told of a loss */

    size_t running;                         /* index of the check that looks now, */
    const char *looks_now;                  /* and its name */
    int64_t violations[TORTURE_CHECKS_MAX]; /* by check, in the order of torture_checks */
    char shown[TORTURE_SHOWN_MAX][200];
    size_t shown_count;
    char thin[8][120]; /* why the run proves too little */
    size_t thin_count;
} torture_report;

typedef struct torture_check {
    const char *name;
    const char *property;
    void (*run)(const torture_history *history, const torture_hold *holds, size_t count,
                torture_report *report);
} torture_check;

extern const torture_check torture_checks[];
extern const size_t torture_check_count;

/* Runs all of them, and counts what the table shows. */
void torture_judge(const torture_history *history, torture_report *ret_report);

/* ---- finding.c: what a check says ------------------------------------------------- */

/* A violation of the check that runs. */
void torture_guilty(torture_report *report, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void torture_thin(torture_report *report, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

int64_t torture_violations(const torture_report *report);

/* ---- report.c --------------------------------------------------------------------- */

/* One table, then what was violated, what was exempt and why it may prove nothing. */
void torture_reports_print(const torture_report *reports, size_t count);

/* The worst result: TORTURE_OK, _GUILTY or _THIN. */
int torture_reports_exit(const torture_report *reports, size_t count);

#endif
