/* SPDX-License-Identifier: MIT */
/* What every part of the demo uses: a clock, a pause, a message. */
#define _GNU_SOURCE
#include "demo.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

int64_t demo_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void demo_raise(_Atomic int64_t *largest, int64_t value)
{
    int64_t seen = atomic_load(largest);
    while (seen < value && !atomic_compare_exchange_weak(largest, &seen, value)) {
    }
}

void demo_sleep_ms(int64_t span_ms)
{
    struct timespec left = {.tv_sec = span_ms / 1000, .tv_nsec = span_ms % 1000 * 1000000};
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR) {
    }
}

static _Atomic bool *said_already;
static bool line_is_live;

void demo_say_once(_Atomic bool *said)
{
    said_already = said;
}

void demo_say_over_line(bool is_live)
{
    line_is_live = is_live;
}

void demo_say(const char *format, ...)
{
    va_list args;
    if (said_already && atomic_exchange(said_already, true)) return;
    va_start(args, format);
    if (line_is_live) fputs("\r\033[K", stderr);
    fputs("demo: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}
