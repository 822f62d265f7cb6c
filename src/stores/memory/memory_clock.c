/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "memory_clock.h"

#include <time.h>

uint64_t pawl__memory_wall_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}
