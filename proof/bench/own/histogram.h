/* SPDX-License-Identifier: MIT */
/* Latencies in fixed memory: 32 steps for each doubling, so read to within 3 %; the max is exact.
 */
#ifndef PAWL_BENCH_OWN_HISTOGRAM_H
#define PAWL_BENCH_OWN_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_STEPS   32
#define HISTOGRAM_BUCKETS (60 * HISTOGRAM_STEPS)

typedef struct histogram {
    uint64_t count;
    int64_t max_ns;
    uint64_t buckets[HISTOGRAM_BUCKETS];
} histogram;

void histogram_add(histogram *h, int64_t ns);
void histogram_merge(histogram *into, const histogram *from);

/* The value that the fraction (0..1) of all stay under, in ns; 0 if there are none. */
int64_t histogram_quantile(const histogram *h, double fraction);

#endif
