/* SPDX-License-Identifier: MIT */
/*
 * The command that `run` starts, as pawl sees it: its start, the signals to it, its end. The
 * guardian is a process between it and pawl (guardian.h).
 *
 * Without a terminal it leads a process group of its own, so that one kill(2)
 * reaches everything that it started. On a terminal it stays in ours, because the
 * terminal's ^C, ^Z and reads belong to one group: then its descendants are
 * looked up in /proc (descendants.h).
 */
#ifndef PAWL_CLI_RUN_CHILD_H
#define PAWL_CLI_RUN_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

#include "descendants.h"
#include "guardian.h"
#include "run_report.h"
#include "signals.h"

typedef struct run_child_opts {
    guardian_adopted *adopted; /* it exists already, and is not our child; NULL: start it */
    char *const *argv;
    char *const *envp;
    const char *shown_key; /* for messages */
    bool foreground;       /* own group also on a terminal, and it gets the terminal */
    bool whole_tree;       /* its daemons belong to it, too */
    int64_t grace_ms;      /* from TERM to KILL, if pawl is killed */
    int events_fd;         /* read end of the events pipe; -1: none */
    int events_as_fd;      /* the number that the command will see */
    run_report *report;    /* for what the guardian does by itself */
} run_child_opts;

typedef enum run_child_state {
    RUN_CHILD_STARTING = 0, /* not executed yet: that may take long on a slow disk */
    RUN_CHILD_RUNNING,
    RUN_CHILD_FAILED, /* it could not be executed: run_child_say_failure */
    RUN_CHILD_ENDED
} run_child_state;

typedef struct run_child {
    run_child_opts opts;
    guardian guardian;
    descendants family;
    run_child_state state;
    bool own_group; /* it leads the group of its pid */
    int tty;        /* the terminal, if it is given to the command when we have it; else -1 */
    unsigned stops_seen;
    uint64_t kept_signals; /* bits: passed on when the command exists */
    int wait_status;
} run_child;

/* Call it before the start: makes the board, which must contain the times of the lock. 0 or an exit
 * code. */
int run_child_prepare(run_child *ret_child, const guardian_adopted *adopted);

/* Tells the guardian the times of the lock, of cli_now_ms; see guardian.h. */
void run_child_set_times(run_child *child, int64_t deadline_ms, int64_t start_by_ms,
                         int64_t kill_at_ms);

/* Starts it without waiting until it is executed. 0, or the exit code after one line. */
int run_child_start(run_child *child, const run_child_opts *opts, const cli_signals *signals);

/* Its process id; 0 if it has none yet. */
pid_t run_child_pid(const run_child *child);

/* Whether it is being started, or runs. */
bool run_child_is_alive(const run_child *child);

/* Whether it was not started because the lock was nearly lost. */
bool run_child_was_too_late(const run_child *child);

/* One line about why it could not be started; the exit code: 126 or 127. */
int run_child_say_failure(const run_child *child);

/* Whether the terminal's own signals (^C, ^Z) reach the command without us. */
bool run_child_shares_terminal(const run_child *child);

/* Updates the state. Children that have ended are reaped. */
void run_child_look(run_child *child);

/* Whether job control has stopped it since the last call. */
bool run_child_was_stopped(run_child *child);

/* Whether nothing that belongs to the command lives any more. */
bool run_child_is_gone(run_child *child);

/* Sends a signal to the command, as if somebody else had sent it. */
void run_child_relay(run_child *child, int number);

/* Call it before the first signal because of the lock: decides now which processes are daemons. */
void run_child_note_daemons(run_child *child);
/* The lock was recovered: next time daemons are looked for again. */
void run_child_forget_daemons(run_child *child);

/* Sends a signal to everything of the command that still lives; to daemons only with whole_tree. */
void run_child_signal_all(run_child *child, int number);

/* SIGKILL for everything, again and again until nothing is left. */
void run_child_kill_all(run_child *child);

/* Ends the guardian; what still lives of the command goes on. */
void run_child_done(run_child *child);

/* Job control of --foreground: takes the terminal back if the command has it; gives it if we have
 * it, and says whether. */
void run_child_take_terminal(const run_child *child);
bool run_child_give_terminal(const run_child *child);

/* The command's exit code as a shell would show it; 0 if it was adopted, because then nobody tells
 * us. */
int run_child_exit_code(const run_child *child);

#endif
