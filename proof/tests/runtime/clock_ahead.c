/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "clock_ahead.h"

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

_Atomic int64_t boottime_ahead;
_Thread_local long clock_readings;

/* Instead of libc's: the library finds this one first. */
int clock_gettime(clockid_t id, struct timespec *ret_time)
{
    clock_readings += id == CLOCK_BOOTTIME || id == CLOCK_MONOTONIC_RAW;
    if (syscall(SYS_clock_gettime, id, ret_time)) return -1;
    if (id != CLOCK_BOOTTIME) return 0;
    int64_t ns = ret_time->tv_nsec + boottime_ahead;
    ret_time->tv_sec += ns / 1000000000;
    ret_time->tv_nsec = ns % 1000000000;
    return 0;
}
