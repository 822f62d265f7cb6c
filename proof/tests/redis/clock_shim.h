/* SPDX-License-Identifier: MIT */
/* What a test tells the clock of a server, through a file that both have mapped. */
#ifndef PAWL_TESTS_REDIS_CLOCK_SHIM_H
#define PAWL_TESTS_REDIS_CLOCK_SHIM_H

#include <stdatomic.h>
#include <stdint.h>

#define CLOCK_SHIM_FILE "PAWL_TEST_CLOCK" /* of the environment: the file's path */

typedef struct clock_setting {
    _Atomic int64_t ahead_ns;        /* of the real clock */
    _Atomic int64_t since_ns;        /* from this instant of the real clock on it also runs */
    _Atomic int64_t faster_permille; /* by so much faster */
} clock_setting;

#endif
