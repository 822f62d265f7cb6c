/* SPDX-License-Identifier: MIT */
/*
 * The processes that descend from a command, also when those between have died.
 *
 * Whoever keeps the command is a subreaper: what loses its parent becomes the keeper's
 * child, so that nothing escapes from the search in /proc by forking twice.
 *
 * What is a daemon? A process that had already become the keeper's child, in a session
 * that no process below the command is in, when descendants_note_daemons() looked. All
 * others are the command's, whatever session or user they have (su -c, setsid).
 *
 * A command that was there before its keeper (--no-fork) is adopted: its children are not the
 * keeper's when it dies. Then all that were ever seen below it are remembered, by pid and time of
 * birth, and belong to it, daemons and all. What was never seen below a living one is not found.
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
    uint64_t born; /* with the pid: this process and no later one */
    bool dead;
} descendants_process;

typedef struct descendants_list {
    descendants_process *items;
    size_t count, room;
} descendants_list;

typedef struct descendants {
    pid_t keepers[2];         /* whose descendants are meant, they are not; 0: none */
    pid_t command;            /* what was started; 0: not known yet */
    bool daemons_too;         /* daemons belong to the command like all others */
    bool noted;               /* the daemons are known */
    descendants_list daemons; /* they, and what descends from them */
    bool adopted;             /* not what descends from the keepers: `members` */
    descendants_list members; /* the adopted command, and whoever was seen below it */
} descendants;

/* Whom a signal has reached already, by other means. */
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
 * Remembers the children that this process has already (somebody ran "work & exec pawl
 * run ..."): neither they nor theirs are the command's. Call before starting it.
 */
void descendants_begin(void);

/* The command is `command`, which is no child of the keepers. false: it has ended already. */
bool descendants_adopt(descendants *family, pid_t command);

/* Looks who is a daemon; the first time counts. Call before anything is killed. */
void descendants_note_daemons(descendants *family);

/*
 * Sends a signal to all that live and are no daemons, except those that are spared. Signal 0
 * only counts. false: /proc cannot be read.
 */
bool descendants_signal(descendants *family, int number, descendants_spared spared,
                        descendants_count *ret_count);

#endif
