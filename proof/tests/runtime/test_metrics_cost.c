/* SPDX-License-Identifier: MIT */
/*
 * Goal: who wants no metrics pays for none: no allocation and no reading of a clock comes with
 * them, and who wants them pays readings and no allocation. Method: malloc and the clocks count
 * what one pair of acquire and release calls. A thread that is disturbed reads more often while it
 * waits, or less often, so the least of many pairs counts. On a quiet machine the numbers are
 * exact: who makes a pair do more, changes them here and knows it.
 */
#define _GNU_SOURCE
#include "allocations.h"
#include "clock_ahead.h"
#include "pawl/metrics.h"
#include "pawl/pawl.h"

#include <stdio.h>

#define PAIRS          1000
#define ALLOCATIONS    2  /* the acquisition, and the engine's lease */
#define READINGS       24 /* 12 instants, of two clocks each */
#define READINGS_ADDED 30 /* 7 events, and 8 instants at which something began */

typedef struct cost {
    long allocations, readings;
} cost;

/* Without metrics if there are none. -1: it failed. More than `wanted` may be a disturbance, so it
 * is done again. */
static cost cost_of_pair(pawl_metrics *metrics, cost wanted)
{
    cost least = {-1, -1};
    pawl_open_opts opts;
    pawl_client *client = NULL;
    pawl_lock *lock = NULL;
    pawl_open_opts_init(&opts);
    opts.callbacks = PAWL_CALLBACKS_WAIT; /* no thread but ours */
    opts.metrics = metrics;
    if (pawl_client_open("memory:", &opts, &client, NULL)) return least;
    if (pawl_lock_new(client, "name", 4, NULL, &lock)) return least;
    for (int i = 0; i < PAIRS; i++) {
        long allocated = allocations, read = clock_readings;
        if (pawl_lock_acquire(lock, 1000) || pawl_lock_release(lock)) return (cost){-1, -1};
        cost now = {allocations - allocated, clock_readings - read};
        if (i == 0 || now.allocations < least.allocations) least.allocations = now.allocations;
        if (i == 0 || now.readings < least.readings) least.readings = now.readings;
        if (least.allocations <= wanted.allocations && least.readings <= wanted.readings) break;
    }
    pawl_lock_free(lock);
    pawl_client_close(client);
    return least;
}

static bool at_most(const char *what, long got, long most, int number)
{
    bool fine = got >= 0 && got <= most;
    printf("%sok %d - %s: %ld, at most %ld\n", fine ? "" : "not ", number, what, got, most);
    return fine;
}

int main(void)
{
    pawl_metrics *metrics = NULL;
    if (pawl_metrics_new(NULL, &metrics)) return 1;
    const cost off = {ALLOCATIONS, READINGS}, on = {ALLOCATIONS, READINGS + READINGS_ADDED};
    cost without = cost_of_pair(NULL, off), with = cost_of_pair(metrics, on);
    pawl_metrics_free(metrics);
    printf("1..4\n");
    bool fine = at_most("allocations without metrics", without.allocations, off.allocations, 1);
    fine &= at_most("readings of a clock without metrics", without.readings, off.readings, 2);
    fine &= at_most("allocations with metrics", with.allocations, on.allocations, 3);
    fine &= at_most("readings of a clock with metrics", with.readings, on.readings, 4);
    return !fine;
}
