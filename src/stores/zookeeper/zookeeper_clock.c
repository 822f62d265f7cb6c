/* SPDX-License-Identifier: MIT */
/* The only file of the store that reads a clock of its own; what it reads is for people. */
#define _GNU_SOURCE
#include "zookeeper_store.h"

#include <time.h>

int64_t pawl__zk_wall_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}
