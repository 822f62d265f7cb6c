/* SPDX-License-Identifier: MIT */
/* The clocks of a test's process: one can be moved, and readings of two are counted. */
#ifndef PAWL_TESTS_RUNTIME_CLOCK_AHEAD_H
#define PAWL_TESTS_RUNTIME_CLOCK_AHEAD_H

#include <stdint.h>

/* By so many ns CLOCK_BOOTTIME is ahead of the system's. */
extern _Atomic int64_t boottime_ahead;
/* How often this thread has read one of the library's two clocks; libevent reads another one. */
extern _Thread_local long clock_readings;

#endif
