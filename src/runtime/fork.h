/* SPDX-License-Identifier: MIT */
/* What happens at a fork and at the exit, see fork.c. */
#ifndef PAWL_RUNTIME_FORK_H
#define PAWL_RUNTIME_FORK_H

#include <stdbool.h>

struct pawl_client;

/* Once before clients are watched; calling it again does nothing. */
void pawl__fork_start(void);
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
