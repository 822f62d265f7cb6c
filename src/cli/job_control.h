/* SPDX-License-Identifier: MIT */
/* Whose turn it is on a terminal: it belongs to one process group at a time, the foreground. */
#ifndef PAWL_CLI_JOB_CONTROL_H
#define PAWL_CLI_JOB_CONTROL_H

#include <stdbool.h>
#include <sys/types.h>

/* Gives the terminal to a group of this session. Async-signal-safe. */
void cli_tty_give(int tty, pid_t group);

/* Whether this group has it. Who is in the background has nothing to give: the shell has it, or a
 * job of it. Async-signal-safe. */
bool cli_tty_is_of(int tty, pid_t group);

/*
 * Takes it from a command's group, or from a job of the command that was killed with it, for the
 * group `to`. A shell that has it keeps it. Async-signal-safe.
 */
void cli_tty_take(int tty, pid_t from, pid_t to);

#endif
