/* SPDX-License-Identifier: MIT */
/*
 * --no-fork: the process that was started as pawl becomes the command, with its number, its parent
 * and its terminal, as with `flock -F`.
 *
 *   the process: waits for permission, then executes the command pawl, beside it: the child of a
 *   child that has ended, so that the command has no unknown child; acquires the lock, renews it,
 *   stops the command in time
 *    '-- guardian: stops the command when pawl is killed or stopped (guardian.h)
 *
 * The exit status is that of the command, so it does not show that the lock was lost.
 */
#ifndef PAWL_CLI_NO_FORK_H
#define PAWL_CLI_NO_FORK_H

#include "run.h"

/* A sentence about options that do not fit --no-fork; NULL: all fit. */
const char *run_no_fork_misfit(const run_opts *opts);

/* Like run_execute, but returns only if the command is not executed. */
int run_execute_no_fork(const run_opts *opts, const run_plan *plan, const char *key,
                        char *const *argv);

#endif
