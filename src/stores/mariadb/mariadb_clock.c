/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "mariadb_store.h"

#include <time.h>

int64_t pawl__mariadb_wall_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}
