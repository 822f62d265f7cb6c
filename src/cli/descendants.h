/* SPDX-License-Identifier: MIT */
#ifndef PAWL_CLI_DESCENDANTS_H
#define PAWL_CLI_DESCENDANTS_H

#include <sys/types.h>

/*
 * Remembers the children that we have already (somebody ran "work & exec pawl run
 * ..."): neither they nor theirs are the command's. Call before starting it.
 */
void descendants_begin(void);

/* Whom descendants_signal leaves alone. */
typedef struct descendants_scope {
    pid_t spared_pid;   /* this process; 0: no process */
    pid_t spared_group; /* members of this process group; 0: no group */
    pid_t session;      /* everybody outside of this session (daemons); 0: nobody */
} descendants_scope;

/*
 * Sends a signal to every living descendant of this process within the scope.
 * Returns how many it reached, -1 when /proc cannot be read. Signal 0 only counts.
 */
int descendants_signal(int number, descendants_scope scope);

#endif
