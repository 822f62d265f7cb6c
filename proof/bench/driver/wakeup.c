/* SPDX-License-Identifier: MIT */
/*
 * The workload wakeup: one holds, one waits, and nobody else is there. Beside the time from the
 * release until the waiter has the lock stands what the holder's own acquisition took, when nobody
 * was in its way. Before both all have rested, so both have to wake the server's process or thread
 * and the client's: one is measured in trips of the other.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>

#include "driver.h"

#define REST_NS 2000000

typedef struct pair {
    const bench_driver *driver;
    void *holder, *waiter; /* each on a connection of its own */
    pthread_barrier_t turn;
    bool is_over;
    int64_t woke_ns;
} pair;

static void put_back(const pair *p, void *lock)
{
    (p->driver->release_and_wait ? p->driver->release_and_wait : p->driver->release)(lock);
}

static void rest(void)
{
    bench_sleep_until(bench_now_ns() + REST_NS);
}

static void *waiter_main(void *argument)
{
    pair *p = argument;
    for (;;) {
        pthread_barrier_wait(&p->turn);
        if (p->is_over) return NULL;
        p->driver->acquire(p->waiter);
        p->woke_ns = bench_now_ns();
        put_back(p, p->waiter);
        pthread_barrier_wait(&p->turn);
    }
}

static void turn(pair *p, bench_histogram *ret_wakeups, bench_histogram *ret_alone)
{
    rest();
    int64_t asked = bench_now_ns();
    p->driver->acquire(p->holder);
    bench_histogram_add(ret_alone, bench_now_ns() - asked);
    pthread_barrier_wait(&p->turn);
    rest();
    int64_t released = bench_now_ns();
    p->driver->release(p->holder);
    pthread_barrier_wait(&p->turn);
    if (p->woke_ns < released) bench_die("the waiter did not wait");
    bench_histogram_add(ret_wakeups, p->woke_ns - released);
}

static void print(const bench_driver *driver, const bench_histogram *wakeups,
                  const bench_histogram *alone)
{
    printf(
        "{\"driver\": \"%s\", \"workload\": \"wakeup\", \"turns\": %llu, \"wakeup_p50_ns\": %lld, "
        "\"alone_p50_ns\": %lld}\n",
        driver->name, (unsigned long long)wakeups->count,
        (long long)bench_histogram_quantile(wakeups, 0.5),
        (long long)bench_histogram_quantile(alone, 0.5));
}

void bench_wakeup(const bench_driver *driver, const bench_args *args)
{
    static bench_histogram wakeups, alone, warm;
    pair p = {.driver = driver,
              .holder = driver->lock(driver->connect(args), "wakeup"),
              .waiter = driver->lock(driver->connect(args), "wakeup")};
    pthread_t thread;
    if (pthread_barrier_init(&p.turn, NULL, 2) || pthread_create(&thread, NULL, waiter_main, &p))
        bench_die("no thread");
    for (int i = 0; i < 3; i++) turn(&p, &warm, &warm); /* connections and scripts are there */
    bench_wait_for_go();
    int64_t until = bench_now_ns() + (int64_t)(args->seconds * 1e9);
    do turn(&p, &wakeups, &alone);
    while (bench_now_ns() < until);
    p.is_over = true;
    pthread_barrier_wait(&p.turn);
    pthread_join(thread, NULL);
    print(driver, &wakeups, &alone);
    bench_wait_for_end();
    if (driver->end) driver->end();
}
