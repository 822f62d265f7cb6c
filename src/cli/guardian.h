/* SPDX-License-Identifier: MIT */
/*
 * The guardian: a small process between pawl and the command.
 *
 *   pawl -- renews, watches the timeline
 *    '-- guardian -- subreaper: orphans of the command become its children
 *         '-- the command, and what it starts
 *
 * If pawl gets SIGKILL or is stopped, the command must not go on running beside the next holder.
 * The kernel's PR_SET_PDEATHSIG is not enough: a change of user removes it, it reaches only one
 * process, and TERM can be ignored. The guardian stops everything before the lock is lost. Until
 * then it keeps open those files of pawl whose locks show others that the holder lives (SQLite), so
 * that nobody takes the lock back while the command runs.
 *
 * With --no-fork the process that was started as pawl becomes the command, and pawl and the
 * guardian run beside it (no_fork.h): then the guardian lets it begin, watches its pidfd, and stops
 * it in the same way. Only its parent learns how it ends.
 *
 * The guardian is forked without the library's fork handlers, perhaps while other threads run: so
 * it uses nothing of the library and does not allocate.
 */
#ifndef PAWL_CLI_GUARDIAN_H
#define PAWL_CLI_GUARDIAN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "signals.h"

#define GUARDIAN_NEVER_MS   INT64_MAX
/* In `why` of the board: the command was not started, because the lock was nearly lost. */
#define GUARDIAN_TOO_LATE   (-1)
/* The first byte to a command that waits to begin: its environment follows. Other bytes: see
 * no_fork.c.
 */
#define GUARDIAN_LETS_BEGIN 'b'

typedef enum guardian_phase {
    GUARDIAN_STARTING = 0,
    GUARDIAN_RUNNING, /* the command has been executed */
    GUARDIAN_FAILED,  /* it could not be executed: see `why` */
    GUARDIAN_ENDED    /* it has ended: see `wait_status` */
} guardian_phase;

/* Shared memory in which pawl, the guardian and the command (until it is executed) tell each other.
 */
typedef struct guardian_board {
    /* Written by pawl; instants of cli_now_ms. */
    _Atomic int64_t deadline_ms; /* T: from then on the store may give the lock away */
    _Atomic int64_t start_by_ms; /* the command is not started later than this */
    _Atomic int64_t kill_at_ms;  /* everything must be dead by then; GUARDIAN_NEVER_MS */
    _Atomic bool stopping; /* the lock is lost: what the command leaves behind is stopped, too */
    /* Written by the guardian and the command. */
    _Atomic int phase;
    _Atomic int why; /* errno, or GUARDIAN_TOO_LATE */
    _Atomic pid_t command;
    _Atomic int wait_status;
    _Atomic unsigned stops; /* how often job control stopped the command */
    _Atomic bool childless; /* nothing is left of what the command started */
} guardian_board;

/* The process that becomes the command, instead of one that the guardian starts (no_fork.h). */
typedef struct guardian_adopted {
    pid_t pid;
    int pidfd;
    int socket; /* it reads its environment here, and closes its end when it begins. -1: done */
    guardian_board *board;
    int pipe_read, pipe_write; /* PAWL_FD, made before both processes; -1: none */
    int pipe_number;
} guardian_adopted;

typedef struct guardian_opts {
    guardian_adopted *adopted; /* NULL: the command is started */
    char *const *argv;
    char *const *envp;
    const char *shown_key; /* for messages */
    bool own_group;        /* the command leads a process group of its own; else it joins ours */
    int tty;               /* given to the command's own group if ours has it; -1: none */
    bool whole_tree;       /* daemons belong to the command, too */
    int64_t grace_ms;      /* from TERM to KILL, if pawl has died */
    int events_fd;         /* read end of the events pipe; -1: none */
    int events_as_fd;      /* the number that the command will see */
    int said_to_fd;        /* kept open for `say`; -1: none */
    /* Reports what the guardian does by itself; allocates nothing. remaining_ms -1: none. */
    void (*say)(void *userdata, const char *event, int64_t remaining_ms, const char *reason);
    void *say_userdata;
} guardian_opts;

typedef struct guardian {
    pid_t pid; /* 0: it has ended */
    guardian_board *board;
    int news_fd;     /* readable when the board has changed */
    int lifeline_fd; /* while we live the other end sees no hang-up */
} guardian;

/* A board that a child shares; NULL after one line. */
guardian_board *guardian_board_new(void);

/* Call it first: makes the board, or takes that of an adopted command. 0 or an exit code. */
int guardian_prepare(guardian *ret_guardian, const guardian_adopted *adopted);

/* Leaves fd (-1: none) open under the number `as` when a program is executed. Async-signal-safe. */
bool guardian_expose(int fd, int as);

/* Whether it has ended; for processes that are not its parent. */
bool guardian_adopted_ended(const guardian_adopted *adopted);

/* Forks the guardian, which starts the command, or lets it begin. 0 or an exit code after one line.
 */
int guardian_start(guardian *g, const guardian_opts *opts, const cli_signals *signals);

/* Ends the guardian; its descendants go on. */
void guardian_end(guardian *g);

#endif
