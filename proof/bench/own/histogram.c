/* SPDX-License-Identifier: MIT */
#include "histogram.h"

#include <stddef.h>

/* Values under HISTOGRAM_STEPS have a bucket each; beyond, the top five bits after the first. */
static size_t bucket_of(int64_t ns)
{
    uint64_t value = ns > 0 ? (uint64_t)ns : 0;
    if (value < HISTOGRAM_STEPS) return (size_t)value;
    unsigned shift = 63u - (unsigned)__builtin_clzll(value) - 5u;
    return (shift + 1) * HISTOGRAM_STEPS + (size_t)(value >> shift) - HISTOGRAM_STEPS;
}

/* The largest value that falls into it. */
static int64_t top_of(size_t bucket)
{
    if (bucket < HISTOGRAM_STEPS) return (int64_t)bucket;
    unsigned shift = (unsigned)(bucket / HISTOGRAM_STEPS) - 1;
    uint64_t step = bucket % HISTOGRAM_STEPS + HISTOGRAM_STEPS;
    return (int64_t)(((step + 1) << shift) - 1);
}

void histogram_add(histogram *h, int64_t ns)
{
    size_t bucket = bucket_of(ns);
    if (bucket >= HISTOGRAM_BUCKETS) bucket = HISTOGRAM_BUCKETS - 1;
    h->buckets[bucket]++;
    h->count++;
    if (ns > h->max_ns) h->max_ns = ns;
}

void histogram_merge(histogram *into, const histogram *from)
{
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) into->buckets[i] += from->buckets[i];
    into->count += from->count;
    if (from->max_ns > into->max_ns) into->max_ns = from->max_ns;
}

int64_t histogram_quantile(const histogram *h, double fraction)
{
    uint64_t wanted = (uint64_t)((double)h->count * fraction), seen = 0;
    if (h->count == 0) return 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->buckets[i];
        if (seen > wanted) return top_of(i) < h->max_ns ? top_of(i) : h->max_ns;
    }
    return h->max_ns;
}
