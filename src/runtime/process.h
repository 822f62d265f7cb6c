/* SPDX-License-Identifier: MIT */
/*
 * Law 9: a child never believes that it holds its parent's lock.
 *
 * Each process has a mark, kept in memory that a child finds zeroed
 * (MADV_WIPEONFORK); a client remembers the mark of the process that opened it.
 * Comparing the two is one load, also in a signal handler.
 *
 * Locking: none, every function may be called by any thread.
 */
#ifndef PAWL_RUNTIME_PROCESS_H
#define PAWL_RUNTIME_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

/* To be called before the others; calling it again does nothing. */
void pawl__process_start(void);
/* This process's mark: differs from those of all its ancestors. Never 0. */
uint64_t pawl__process_mark(void);
/* Whether this process has that mark. Async-signal-safe. */
bool pawl__process_is(uint64_t mark);
/* For the fork handler in the child: draws a new mark. */
void pawl__process_is_new(void);

#endif
