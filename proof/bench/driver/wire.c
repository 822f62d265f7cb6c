/* SPDX-License-Identifier: MIT */
/* The workload that is recorded: pairs, one after the other, each announced to the recorder. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "driver.h"

static void one_pair(const bench_driver *driver, void *lock)
{
    driver->acquire(lock);
    (driver->release_and_wait ? driver->release_and_wait : driver->release)(lock);
}

_Noreturn void bench_wire(const bench_driver *driver, const bench_args *args)
{
    void *connection = driver->connect(args);
    void **locks = calloc((size_t)args->threads, sizeof *locks);
    char name[40];
    if (!locks) bench_die("out of memory");
    /* The first round may load scripts and finds names that nobody has used. */
    for (int i = 0; i < args->threads; i++) {
        snprintf(name, sizeof name, "wire-%d-", i);
        locks[i] = driver->lock(connection, name);
        one_pair(driver, locks[i]);
    }
    bench_say_and_wait("ready");
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < args->threads; i++) {
            one_pair(driver, locks[i]);
            bench_say_and_wait("pair");
        }
    }
    printf("{\"driver\": \"%s\", \"workload\": \"wire\"}\n", driver->name);
    bench_wait_for_end();
    _exit(0);
}
