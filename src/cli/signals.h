/* SPDX-License-Identifier: MIT */
/*
 * Signals are read from a descriptor, in the same loop as everything else. They
 * are blocked before any thread exists, so that no thread of the library takes one.
 */
#ifndef PAWL_CLI_SIGNALS_H
#define PAWL_CLI_SIGNALS_H

#include <signal.h>
#include <stdbool.h>
#include <sys/signalfd.h>

typedef struct cli_signals {
    int fd;
    sigset_t inherited_mask;         /* for the command that we run */
    struct sigaction inherited_pipe; /* dispositions of SIGPIPE and SIGCHLD, for the same */
    struct sigaction inherited_child;
} cli_signals;

/*
 * Blocks and watches `numbers` (0-terminated), except those that our parent made us ignore (nohup,
 * a shell's background job): they stay ignored. Ignores SIGPIPE. 0 or the exit code after one line.
 */
int cli_signals_open(cli_signals *signals, const int *numbers);

/* The next one that has come; false when there is none. */
bool cli_signals_next(cli_signals *signals, struct signalfd_siginfo *ret_info);

/*
 * Whether all of our process group have got this signal with us, by its number and si_code: the
 * terminal sends ^C so. When a terminal goes away only the leader of its session is told.
 */
bool cli_signals_went_to_group(int number, int code);

/* In a forked child: restores what our parent gave us. Async-signal-safe. */
void cli_signals_restore(const cli_signals *signals);

/* Stops this process as SIGTSTP does by default; returns when it was continued. */
void cli_signals_stop_self(void);

#endif
