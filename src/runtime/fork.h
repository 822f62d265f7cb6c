/* SPDX-License-Identifier: MIT */
/* What happens at a fork and at the exit, see fork.c. */
#ifndef PAWL_RUNTIME_FORK_H
#define PAWL_RUNTIME_FORK_H

#include <stdbool.h>

struct pawl_client;

/* Once before clients are watched; calling it again does nothing. */
void pawl__fork_start(void);
/*
 * Whether this thread is in the middle of a fork(). It holds every client's mutex then, and the
 * program's own fork handlers run at that time, too.
 */
bool pawl__forking(void);

/*
 * A fork() must find these clients at a quiet moment, so that the child can free them. The fork
 * waits for that, but not for long (FORK_WAIT_MS).
 */
void pawl__fork_watch(struct pawl_client *client);
/* The client closes. An exit() waits, as for the others, until that has sent what was asked. */
void pawl__fork_unwatch(struct pawl_client *client);
void pawl__fork_unwatched_is_done(void);

#endif
