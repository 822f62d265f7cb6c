/* SPDX-License-Identifier: MIT */
/* run --reentrant, inside a run of the same key. */
#ifndef PAWL_CLI_REENTER_H
#define PAWL_CLI_REENTER_H

#include "run.h"
#include "session.h"

/*
 * Executes argv in place of this process, under the lock of the run around it. Comes back only if
 * that was not possible: then it has said why, and returns the exit code.
 */
int cli_reenter(cli_session *session, const run_opts *opts, char *const *argv);

#endif
