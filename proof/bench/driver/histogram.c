/* SPDX-License-Identifier: MIT */
#include "histogram.h"

/* Values below 2^FINE_BITS have a bucket each; above, each octave has 2^FINE_BITS. */
static unsigned bucket_of(uint64_t ns)
{
    const uint64_t fine = 1u << BENCH_FINE_BITS;
    if (ns < fine) return (unsigned)ns;
    int octave = 63 - __builtin_clzll(ns) - BENCH_FINE_BITS;
    return (unsigned)((((uint64_t)octave + 1) << BENCH_FINE_BITS) + ((ns >> octave) - fine));
}

static int64_t middle_of(unsigned bucket)
{
    const unsigned fine = 1u << BENCH_FINE_BITS;
    if (bucket < fine) return bucket;
    unsigned octave = (bucket >> BENCH_FINE_BITS) - 1;
    uint64_t low = (uint64_t)(fine + (bucket & (fine - 1))) << octave;
    return (int64_t)(low + ((UINT64_C(1) << octave) >> 1));
}

void bench_histogram_add(bench_histogram *h, int64_t ns)
{
    if (ns < 0) ns = 0;
    if (ns > h->max_ns) h->max_ns = ns;
    h->count++;
    unsigned bucket = bucket_of((uint64_t)ns);
    h->buckets[bucket < BENCH_BUCKETS ? bucket : BENCH_BUCKETS - 1]++;
}

void bench_histogram_merge(bench_histogram *into, const bench_histogram *from)
{
    into->count += from->count;
    if (from->max_ns > into->max_ns) into->max_ns = from->max_ns;
    for (unsigned i = 0; i < BENCH_BUCKETS; i++) into->buckets[i] += from->buckets[i];
}

int64_t bench_histogram_quantile(const bench_histogram *h, double share)
{
    uint64_t wanted = (uint64_t)((double)h->count * share), seen = 0;
    for (unsigned i = 0; i < BENCH_BUCKETS; i++) {
        seen += h->buckets[i];
        if (seen > wanted) return middle_of(i);
    }
    return h->max_ns;
}
