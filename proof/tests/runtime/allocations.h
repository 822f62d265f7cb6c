/* SPDX-License-Identifier: MIT */
/* The malloc of a test's process counts. Sanitizers have a malloc of their own. */
#ifndef PAWL_TESTS_RUNTIME_ALLOCATIONS_H
#define PAWL_TESTS_RUNTIME_ALLOCATIONS_H

/* How often this thread has asked for memory. */
extern _Thread_local long allocations;

#endif
