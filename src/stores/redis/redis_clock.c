/* SPDX-License-Identifier: MIT */
/* The wall clock, for the doctor only. Leases use host->now(). */
#define _GNU_SOURCE
#include "redis_store.h"

#include <time.h>

int64_t pawl__redis_wall_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}
