/* SPDX-License-Identifier: MIT */
/*
 * Acquires, runs a command, stops it before somebody else could get the lock, and releases. `pawl
 * run` and `pawl-flock` are two command lines for this.
 */
#ifndef PAWL_CLI_RUN_H
#define PAWL_CLI_RUN_H

#include "command.h"
#include "options.h"
#include "run_child.h"
#include "run_plan.h"
#include "run_report.h"
#include "session.h"

/* What to do about the command when the lock is lost; the order is that of the option. */
typedef enum run_on_lost {
    RUN_LOST_TERM = 0, /* TERM in time, KILL before the deadline */
    RUN_LOST_KILL,     /* KILL before the deadline, without a TERM */
    RUN_LOST_NOTIFY,   /* a line on PAWL_FD, and our exit code */
    RUN_LOST_IGNORE    /* as notify, but exit as the command does */
} run_on_lost;

typedef struct run_opts {
    cli_common common; /* first: see cli_command_parse */
    int64_t wait_ms;
    int64_t busy_code;
    int64_t lost_code;
    int64_t ttl_ms;
    int64_t grace_ms; /* -1: default */
    int64_t at_least_ms;
    int64_t lock_delay_ms; /* after an unclean end the lock stays held for so long */
    int64_t on_lost;
    int64_t yield_signal; /* 0: none */
    int64_t json_fd;      /* -1: none */
    int64_t mode;         /* pawl_mode */
    int64_t slots;        /* -N: permits of the semaphore; 0: it is a lock */
    int64_t units;        /* --units: how many of them; 0: not given */
    int64_t every_ms;     /* once: length of a period; 0: it is a plain run */
    cli_words keys;       /* -k: all of them or none; empty: the operand is the key */
    const char *fence_file;
    const char *metrics_to; /* a path, or an address (metrics_endpoint.h) */
    const char *metrics_class;
    const char *shell_command;
    const char *require;
    guardian_adopted *adopted; /* the process that becomes the command; NULL: it is started */
    bool no_fork;              /* run: the command takes the place of this process */
    bool close_fds;
    bool no_token;
    bool reentrant;
    bool hold_descendants;
    bool foreground;
    bool say_busy;
    bool pass_notify;        /* the command, not we, tells the service manager that it is ready */
    bool keep_on_failure;    /* once: a run that failed counts */
    bool shows_last;         /* once: run nothing, say who ran last */
    bool leads;              /* lead: observers are told that we lead, and when we end */
    bool shows_leader;       /* lead: run nothing, say who leads */
    bool observes;           /* lead: run nothing, say who leads whenever that changes */
    int64_t restart;         /* lead: when the command is started again, see cmd_lead.c */
    const char *value;       /* lead: the value to proclaim; NULL: only our label is known */
    struct run_end *ret_end; /* lead: how the run ended; NULL: nobody asks */
} run_opts;

/* How a run ended, beside its exit code. */
typedef struct run_end {
    bool held;     /* we had the lock */
    bool ended;    /* the command was started, and ended by itself */
    bool lost;     /* the lock was lost */
    int by_signal; /* somebody asked us to end: its number; 0: nobody did */
} run_end;

extern const run_opts run_opts_default;

/* Does all of it. argv is the command; opts are checked before. Returns the exit code. */
int run_execute(const run_opts *opts, const run_plan *plan, const char *key, char *const *argv);

/* Makes the command of -c: through the user's shell, as flock(1) does it. */
void run_shell_argv(const char *command, char *ret_argv[4]);

/* A run in progress. */
typedef struct run {
    const run_opts *opts;
    const run_plan *plan;
    cli_session session;
    run_report report;
    run_child child;
    int64_t deadline_ms; /* T, as last read; an instant of cli_now_ms */
    bool lost;
    int64_t lost_at_ms;
    char lost_reason[PAWL_MESSAGE_MAX];
    char doubt_reason[PAWL_MESSAGE_MAX]; /* why it could not be renewed; until it was */
    bool told_term;  /* we sent TERM, and the lock has not recovered since then */
    bool stopped_it; /* we sent TERM or KILL because of the lock: the run has failed */
    bool killed;
    bool user_term;   /* somebody sent us a TERM, and it was relayed */
    int asked_to_end; /* the latest of HUP, INT, QUIT and TERM that came */
    bool yield_due;
    bool reported_start;
} run;

/* Takes the lock's events from the library. */
void run_on_event(pawl_lock *lock, const pawl_event *event, void *userdata);

/* Why it was, or will be, lost; never empty. */
const char *run_loss_reason(const run *r);

/* How long the command may still run, in ms: as long as the lock is held, without the time of
 * --lock-delay. */
int64_t run_remaining_ms(const run *r);

/* Reads run_remaining_ms and lets the guardian know. */
int64_t run_look_at_clock(run *r);

/* Supervises the command by the timeline until it has ended. 0 or an exit code after one line. */
int run_supervise(run *r);

/* Keeps the lock until `until_ms`, a signal, or its loss. */
void run_linger(run *r, int64_t until_ms);

#endif
