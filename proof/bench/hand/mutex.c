/* SPDX-License-Identifier: MIT */
/*
 * A cached lease is compared with this: lock and unlock of a mutex that nobody else wants, and one
 * reading of CLOCK_BOOTTIME, in a program with threads (with only one thread glibc takes a shorter
 * way). URL: any.
 * Workload: cached.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../driver/driver.h"

#define TURN 1000 /* between two looks at whether the time is over */

static void *idle(void *arg)
{
    pause();
    return arg;
}

static bool cached(const bench_args *args)
{
    if (strcmp(args->workload, "cached") != 0) return false;
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    struct timespec clock;
    pthread_t other;
    if (pthread_create(&other, NULL, idle, NULL) != 0) bench_die("thread");
    uint64_t pairs = 0;
    bench_wait_for_go();
    int64_t start = bench_now_ns(), until = start + (int64_t)(args->seconds * 1e9), now;
    do {
        for (int i = 0; i < TURN; i++) {
            pthread_mutex_lock(&mutex);
            clock_gettime(CLOCK_BOOTTIME, &clock);
            pthread_mutex_unlock(&mutex);
        }
        pairs += TURN;
        now = bench_now_ns();
    } while (now < until);
    printf("{\"driver\": \"mutex\", \"workload\": \"cached\", \"pairs\": %llu, "
           "\"pair_ns\": %.2f}\n",
           (unsigned long long)pairs, (double)(now - start) / (double)pairs);
    bench_wait_for_end();
    return true;
}

static const bench_driver driver = {.name = "mutex", .other = cached};

int main(int argc, char **argv)
{
    return bench_main(&driver, argc, argv);
}
