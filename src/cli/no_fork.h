/* SPDX-License-Identifier: MIT */
/*
 * --no-fork: the process that was started as pawl becomes the command, with its number, its parent
 * and its terminal, as with `flock -F`.
 *
 *   the process: waits for the word, then executes the command
 *   pawl, beside it: a child of a child that has ended, so that the command has no child it does
 *                    not know; asks for the lock, renews it, stops the command in time
 *    '-- guardian: does the same when pawl is killed or stands still (guardian.h)
 *
 * The exit status is the command's own, so nobody is told by it that the lock was lost.
 */
#ifndef PAWL_CLI_NO_FORK_H
#define PAWL_CLI_NO_FORK_H

#include "run.h"

/* What does not go with it, in one sentence; NULL: all does. */
const char *run_no_fork_misfit(const run_opts *opts);

/* As run_execute, but returns only if the command is not executed. */
int run_execute_no_fork(const run_opts *opts, const run_plan *plan, const char *key,
                        char *const *argv);

#endif
