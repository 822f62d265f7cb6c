/* SPDX-License-Identifier: MIT */
/* A run inside a run of the same key, with and without --reentrant. */
#ifndef PAWL_CLI_REENTER_H
#define PAWL_CLI_REENTER_H

#include "run.h"
#include "session.h"

/*
 * Executes argv in place of this process, under the lock of the run around it. Comes back only if
 * that was not possible: then it has said why, and returns the exit code.
 */
int cli_reenter(cli_session *session, const run_opts *opts, char *const *argv);

/*
 * Whether a run around us, which PAWL_HELD names, still has this key. What a command has left
 * behind, as a daemon, has the environment of a run that is over; it may lock the key like anybody
 * else. True also if the store cannot tell.
 */
bool cli_is_around(const cli_session *session, const run_opts *opts, const char *key);

#endif
