/* SPDX-License-Identifier: MIT */
/*
 * The command that `run` starts: its birth, the signals to it, its end.
 *
 * Without a terminal it leads a process group of its own, so that one kill(2)
 * reaches everything that it started. On a terminal it stays in ours, because the
 * terminal's ^C, ^Z and reads belong to one group: then its descendants are
 * looked up in /proc. Whatever it leaves behind becomes our child (subreaper), so
 * that nothing escapes from that search by forking twice.
 */
#ifndef PAWL_CLI_RUN_CHILD_H
#define PAWL_CLI_RUN_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

#include "signals.h"

typedef struct run_child_opts {
    char *const *argv;
    char *const *envp;
    bool foreground;  /* own group also on a terminal, and the terminal is given to it */
    bool whole_tree;  /* its daemons (own sessions) belong to it, too */
    int events_fd;    /* read end of the events pipe; -1: none */
    int events_as_fd; /* the number that the command shall see */
} run_child_opts;

typedef struct run_child {
    pid_t pid;
    bool running;   /* not yet reaped */
    bool own_group; /* it leads the group `pid` */
    bool whole_tree;
    bool childless; /* no child of ours is left at all */
    bool stopped;   /* by job control */
    int tty;        /* the terminal, if it was given to the command; else -1 */
    int wait_status;
} run_child;

/*
 * Starts it. 0, or the exit code after one line: 126 and 127 for a command that
 * cannot be executed or is not there.
 */
int run_child_start(const run_child_opts *opts, const cli_signals *signals, run_child *ret_child);

/* Whether the terminal's own signals (^C, ^Z) reach the command without us. */
bool run_child_shares_terminal(const run_child *child);

/* Collects whoever has ended, or was stopped. */
void run_child_reap(run_child *child);

/* Whether nothing that belongs to the command lives any more. */
bool run_child_is_gone(const run_child *child);

/* A signal for the command, as somebody else would have sent it. */
void run_child_relay(const run_child *child, int number);

/*
 * A signal for everything that the command started and that still lives: the
 * group, and those of our descendants that left it; but daemons, which have a
 * session of their own, only with whole_tree.
 */
void run_child_signal_all(const run_child *child, int number);

/* SIGKILL for everything, again and again until nothing is left. */
void run_child_kill_all(run_child *child);

/* Takes the terminal back, or gives it (job control of --foreground). */
void run_child_take_terminal(const run_child *child);
void run_child_give_terminal(const run_child *child);

/* The command's exit code as a shell would show it. */
int run_child_exit_code(const run_child *child);

#endif
