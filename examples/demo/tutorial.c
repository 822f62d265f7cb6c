/* SPDX-License-Identifier: MIT */
/*
 * The lock of a tutorial on Redis locks, as it is published:
 *
 *   lock:    SET key "token" EX ttl NX; if somebody has it, sleep 0 to 99 ms and try again
 *   unlock:  DEL key
 *
 * The value is the same for everybody, nothing renews the lock, and DEL removes
 * whatever lock is there.
 */
#define _GNU_SOURCE
#include "demo.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void demo_sleep_ms(int64_t span_ms)
{
    struct timespec left = {.tv_sec = span_ms / 1000, .tv_nsec = span_ms % 1000 * 1000000};
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR) {
    }
}

void demo_tutorial_pause(void)
{
    demo_sleep_ms(random() % 100);
}

const demo_algorithm *demo_tutorial_for(const char *url)
{
    if (strncmp(url, "sqlite:", 7) == 0) return &demo_tutorial_sqlite;
    if (strncmp(url, "redis:", 6) == 0 || strncmp(url, "redis+unix:", 11) == 0) {
        return &demo_tutorial_redis;
    }
    if (strncmp(url, "memory:", 7) == 0) {
        demo_say("PAWL_STORE=%s: a memory: store lives in one process, the demo needs several",
                 url);
        return NULL;
    }
    demo_say("PAWL_STORE: the demo runs on sqlite:, redis: and redis+unix: stores");
    return NULL;
}
