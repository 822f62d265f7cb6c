/* SPDX-License-Identifier: MIT */
/*
 * Failures on demand: a test program that links failing.c has its own malloc and its own
 * system calls, which the program, the stores' modules and all libraries then use. The n-th of
 * them from failing_arm on fails, once, or it and all that follow.
 *
 * What the test itself calls is spared, between failing_spare(1) and failing_spare(-1) on its
 * thread; the functions of test_host.h do that by themselves.
 */
#ifndef PAWL_TESTS_FAILING_H
#define PAWL_TESTS_FAILING_H

#include <stdbool.h>

typedef enum failing_what {
    FAILING_NOTHING = 0,
    FAILING_MEMORY, /* malloc and its kin give NULL */
    FAILING_CALLS,  /* system calls fail with what they may fail with: EMFILE, ENOSPC, EIO, ... */
    FAILING_SIGNALS /* those that may are interrupted by a signal: EINTR */
} failing_what;

/* n counts from 1; FAILING_NOTHING, or a large n: they are only counted. */
void failing_arm(failing_what what, unsigned n, bool for_ever);
/* Everything works again. How many there were since failing_arm, those that failed included. */
unsigned failing_disarm(void);
/* The name of the first call that failed since failing_arm; "" if none. */
const char *failing_victim(void);

/* From now on allocations of the loaded library whose path contains `part` succeed: it has faults
 * of its own when memory is short. */
void failing_spare_library(const char *part);

/* Of this thread, in spare.c; it works only together with failing.c. */
void failing_spare(int by);
bool failing_is_spared(void);

#endif
