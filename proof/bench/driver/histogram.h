/* SPDX-License-Identifier: MIT */
/* Times in buckets of under 1 % width. */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

#define BENCH_FINE_BITS 7
#define BENCH_BUCKETS   ((64 - BENCH_FINE_BITS) << BENCH_FINE_BITS)

typedef struct bench_histogram {
    uint64_t count;
    int64_t max_ns;
    uint32_t buckets[BENCH_BUCKETS];
} bench_histogram;

void bench_histogram_add(bench_histogram *h, int64_t ns);
void bench_histogram_merge(bench_histogram *into, const bench_histogram *from);
int64_t bench_histogram_quantile(const bench_histogram *h, double share); /* 0 if empty */

#endif
