/* SPDX-License-Identifier: MIT */
/*
 * The processes that descend from a command, even if processes in between have died.
 *
 * The keeper of the command is a subreaper: a process that loses its parent becomes the keeper's
 * child, so no process escapes from the search in /proc by forking twice.
 *
 * What is a daemon? A process that was already the keeper's child when descendants_note_daemons()
 * looked, in a session that no process below the command is in. All others belong to the command,
 * whatever session or user they have (su -c, setsid).
 *
 * A command that existed before its keeper (--no-fork) is adopted: when it dies its children do not
 * become the keeper's. So all processes that were ever seen below it are remembered, by pid and
 * start time, and all of them belong to it, also daemons. A process that was never seen below a
 * living one is not found.
 *
 * Nothing in here allocates or waits for a mutex: a process that was forked beside
 * threads uses it.
 */
#ifndef PAWL_CLI_DESCENDANTS_H
#define PAWL_CLI_DESCENDANTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct descendants_process {
    pid_t pid, parent, group, session;
    uint64_t born; /* start time; with the pid it identifies the process */
    bool dead;
} descendants_process;

typedef struct descendants_list {
    descendants_process *items;
    size_t count, room;
} descendants_list;

typedef struct descendants {
    pid_t keepers[2];         /* their descendants count, they themselves do not; 0: none */
    pid_t command;            /* what was started; 0: not known yet */
    bool daemons_too;         /* daemons belong to the command like all others */
    bool noted;               /* the daemons are known */
    descendants_list daemons; /* daemons and their descendants */
    bool adopted;             /* use `members`, not the descendants of the keepers */
    descendants_list members; /* the adopted command, and all that was seen below it */
} descendants;

/* Processes that have got the signal already, in another way. */
typedef struct descendants_spared {
    pid_t pid;   /* 0: no process */
    pid_t group; /* 0: no group */
} descendants_spared;

typedef struct descendants_count {
    int reached;
    int denied;       /* alive, but we may not send them signals */
    pid_t denied_pid; /* one of those */
} descendants_count;

/*
 * Remembers the children that this process has already (somebody ran "work & exec pawl run ..."):
 * they and their descendants do not belong to the command. Call it before the command is started.
 */
void descendants_begin(void);

/* `command` is the command, and is not a child of the keepers. false: it has ended already. */
bool descendants_adopt(descendants *family, pid_t command);

/* Notes which processes are daemons; only the first call counts. Call it before anything is killed.
 */
void descendants_note_daemons(descendants *family);

/*
 * Sends a signal to all living processes that are not daemons, except the spared ones. Signal 0
 * only counts them. false: /proc cannot be read.
 */
bool descendants_signal(descendants *family, int number, descendants_spared spared,
                        descendants_count *ret_count);

#endif
