/* SPDX-License-Identifier: MIT */
/*
 * What run, once and lead have in common on their command line: the options of a command
 * that runs under a lock, the words of the command itself, and the checks of both.
 */
#ifndef PAWL_CLI_RUN_OPTIONS_H
#define PAWL_CLI_RUN_OPTIONS_H

#include "run.h"

/* Into a run_opts. A table of a command's own rows goes on here: CLI_OPTIONS_GO_ON. */
extern const cli_option run_command_options[];

/*
 * Options may stand after KEY as well: `pawl once KEY --every 1h -- COMMAND`. Then rest becomes
 * what is behind them, with KEY before it. false: exit with *ret_code.
 */
bool run_take_more_options(const cli_command *self, run_opts *opts, cli_args *rest, int *ret_code);

/* What follows KEY: the command, or -c and a string for the shell, for which shell_argv is. */
int run_take_command(const cli_command *self, run_opts *opts, char **after, int count,
                     char *shell_argv[4], char *const **ret_argv);

/*
 * Checks what these options say and makes the plan. 0 or an exit code after one line. After 0 the
 * caller frees opts->common.metrics (may be NULL) when all runs are over.
 */
int run_options_finish(const cli_command *self, run_opts *opts, run_plan *ret_plan);

#endif
