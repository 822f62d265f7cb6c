/* SPDX-License-Identifier: MIT */
/*
 * What the command lines of run, once and lead have in common: the options of a command that runs
 * under a lock, the words of that command, and the checks of both.
 */
#ifndef PAWL_CLI_RUN_OPTIONS_H
#define PAWL_CLI_RUN_OPTIONS_H

#include "run.h"

/* The fields are those of run_opts. A command's own table continues with this one:
 * CLI_OPTIONS_GO_ON. */
extern const cli_option run_command_options[];

/*
 * Options may stand after KEY as well: `pawl once KEY --every 1h -- COMMAND`. Then rest becomes KEY
 * and what follows the options. false: exit with *ret_code.
 */
bool run_take_more_options(const cli_command *self, run_opts *opts, cli_args *rest, int *ret_code);

/* Takes what follows KEY: the command, or -c and a string for the shell; then shell_argv is used.
 */
int run_take_command(const cli_command *self, run_opts *opts, char **after, int count,
                     char *shell_argv[4], char *const **ret_argv);

/*
 * Checks these options and makes the plan. 0 or an exit code after one line. After 0 the caller
 * frees opts->common.metrics (may be NULL) when all runs are over.
 */
int run_options_finish(const cli_command *self, run_opts *opts, run_plan *ret_plan);

#endif
