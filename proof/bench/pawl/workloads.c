/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "workloads.h"

#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void must(int err, const char *what)
{
    if (err) bench_die("pawl: %s: %s", what, pawl_err_text(err));
}

/* ---- cached ------------------------------------------------------------------------- */

#define TURN 1000 /* between two looks at whether the time is over */

void workload_cached(const bench_args *args, pawl_client *client)
{
    pawl_lock_opts opts;
    pawl_lock_opts_init(&opts);
    opts.retain_ms = 60000;
    pawl_lock *lock;
    must(pawl_lock_new(client, "cached", 6, &opts, &lock), "new");
    must(pawl_lock_acquire(lock, PAWL_WAIT_FOREVER), "acquire");
    must(pawl_lock_release(lock), "release");

    bench_wait_for_go();
    uint64_t pairs = 0;
    int64_t start = bench_now_ns(), until = start + (int64_t)(args->seconds * 1e9), now;
    do {
        for (int i = 0; i < TURN; i++) {
            must(pawl_lock_acquire(lock, PAWL_WAIT_FOREVER), "acquire");
            must(pawl_lock_release(lock), "release");
        }
        pairs += TURN;
        now = bench_now_ns();
    } while (now < until);
    printf("{\"driver\": \"pawl\", \"workload\": \"cached\", \"pairs\": %llu, "
           "\"pair_ns\": %.2f}\n",
           (unsigned long long)pairs, (double)(now - start) / (double)pairs);
    bench_wait_for_end();
}

/* ---- leases -------------------------------------------------------------------------- */

typedef struct grants {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int asked, granted;
} grants;

#define UNDER_WAY_MAX 1000 /* acquisitions at a time */

static void on_granted(pawl_lock *lock, int err, void *userdata)
{
    (void)lock;
    must(err, "acquire");
    grants *g = userdata;
    pthread_mutex_lock(&g->mutex);
    g->granted++;
    pthread_cond_signal(&g->changed);
    pthread_mutex_unlock(&g->mutex);
}

static void wait_until_under_way(grants *g, int most)
{
    pthread_mutex_lock(&g->mutex);
    while (g->asked - g->granted > most) pthread_cond_wait(&g->changed, &g->mutex);
    pthread_mutex_unlock(&g->mutex);
}

size_t bench_resident_bytes(void)
{
    unsigned long all = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%lu %lu", &all, &resident) != 2) bench_die("/proc/self/statm");
    fclose(file);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

static size_t allocated_bytes(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static void take_leases(pawl_client *client, int64_t ttl_ms, int count, pawl_lock **locks)
{
    pawl_lock_opts opts;
    pawl_lock_opts_init(&opts);
    opts.ttl_ms = ttl_ms;
    grants g = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    char name[40];
    for (int i = 0; i < count; i++) {
        int length = snprintf(name, sizeof name, "lease-%d", i);
        must(pawl_lock_new(client, name, (size_t)length, &opts, &locks[i]), "new");
        wait_until_under_way(&g, UNDER_WAY_MAX);
        pthread_mutex_lock(&g.mutex);
        g.asked++;
        pthread_mutex_unlock(&g.mutex);
        must(pawl_lock_acquire_start(locks[i], PAWL_WAIT_FOREVER, on_granted, &g), "acquire");
    }
    wait_until_under_way(&g, 0);
}

static int count_held(pawl_lock *const *locks, int count)
{
    int held = 0;
    for (int i = 0; i < count; i++) held += pawl_lock_is_held(locks[i]);
    return held;
}

void workload_leases(const bench_args *args, pawl_client *client)
{
    int count = args->threads;
    pawl_lock **locks = calloc((size_t)count, sizeof(pawl_lock *));
    pawl_lock *first;
    if (!locks) bench_die("out of memory");
    memset(locks, 0xff, (size_t)count * sizeof *locks); /* resident before it is counted */
    must(pawl_lock_new(client, "first", 5, NULL, &first), "new");
    must(pawl_lock_acquire(first, PAWL_WAIT_FOREVER), "acquire");

    size_t resident = bench_resident_bytes(), allocated = allocated_bytes();
    int64_t start = bench_now_ns();
    take_leases(client, (int64_t)(args->seconds * 3000), count, locks);
    double taking = (double)(bench_now_ns() - start) / 1e9;
    size_t resident_each = (bench_resident_bytes() - resident) / (size_t)count;
    size_t allocated_each = (allocated_bytes() - allocated) / (size_t)count;

    bench_wait_for_go();
    int64_t cpu = bench_cpu_ns(), from = bench_now_ns();
    bench_sleep_until(from + (int64_t)(args->seconds * 1e9));
    double share = (double)(bench_cpu_ns() - cpu) / (double)(bench_now_ns() - from);
    int held = count_held(locks, count);
    printf("{\"driver\": \"pawl\", \"workload\": \"leases\", \"leases\": %d, \"held\": %d, "
           "\"resident_each\": %zu, \"allocated_each\": %zu, \"renewal_core_share\": %.4f, "
           "\"taken_per_second\": %.0f, \"window_us\": %.0f}\n",
           count, held, resident_each, allocated_each, share, count / taking, args->seconds * 1e6);
    bench_wait_for_end();
}
