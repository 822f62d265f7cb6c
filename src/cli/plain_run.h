/* SPDX-License-Identifier: MIT */
/* Runs a command without supervision, under a lock that cannot be lost. */
#ifndef PAWL_CLI_PLAIN_RUN_H
#define PAWL_CLI_PLAIN_RUN_H

/* Runs argv to its end, passing signals on to it. Returns its exit code (128+n), or ours. */
int cli_plain_run(char *const *argv);

/* The same without a new process: this process becomes argv. Returns our exit code if it cannot.
 */
int cli_plain_become(char *const *argv);

#endif
