/* SPDX-License-Identifier: MIT */
/*
 * Law 9: a child never believes that it holds its parent's lock.
 *
 * Each process has a mark, kept in memory that a child finds zeroed
 * (MADV_WIPEONFORK); a client remembers the mark of the process that opened it.
 * Comparing the two is one load, also in a signal handler.
 */
#ifndef PAWL_RUNTIME_FORK_H
#define PAWL_RUNTIME_FORK_H

#include <stdbool.h>
#include <stdint.h>

struct pawl_client;

/* To be called before the others; again does nothing. */
void pawl__process_start(void);
/* This process's mark: differs from those of all its ancestors. Never 0. */
uint64_t pawl__process_mark(void);
/* Whether this process has that mark. Async-signal-safe. */
bool pawl__process_is(uint64_t mark);
/*
 * Whether this thread is in the middle of a fork(), where it holds every client's mutex: a
 * program's own handlers of fork run there, too.
 */
bool pawl__forking(void);

/*
 * Clients that a fork() must catch at a quiet moment, so that the child can free
 * them: the fork waits for it, but not for long (FORK_WAIT_MS).
 */
void pawl__fork_watch(struct pawl_client *client);
void pawl__fork_unwatch(struct pawl_client *client);

#endif
