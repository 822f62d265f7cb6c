/* SPDX-License-Identifier: MIT */
/* What `pawl bench` found, for people, for programs, and as a picture. */
#ifndef PAWL_BENCH_REPORT_H
#define PAWL_BENCH_REPORT_H

#include <stdio.h>

#include "phase.h"

typedef struct bench_report {
    const char *store; /* its URL without a password */
    const bench_setup *setup;
    const bench_result *results;
    int count;
    bool interrupted;
} bench_report;

double bench_per_second(const bench_result *result);

void bench_print_table(const bench_report *report);
void bench_print_json(const bench_report *report);

/* An SVG: the distribution of the waiting times, and the throughput by number of clients. */
void bench_plot(const bench_report *report, FILE *file);

#endif
