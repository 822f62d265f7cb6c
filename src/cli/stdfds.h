/* SPDX-License-Identifier: MIT */
/*
 * A process may be started without stdin, stdout or stderr. The next file that it opens would get
 * that number, and a message could be written into a database. So the missing numbers are filled
 * first, and closed again for the command that we run.
 */
#ifndef PAWL_CLI_STDFDS_H
#define PAWL_CLI_STDFDS_H

#include <stdbool.h>

/* Fills missing numbers among 0, 1 and 2. main calls it first. */
void cli_stdfds_open(void);

/* Whether fd (0, 1, 2) was closed when we were started. */
bool cli_stdfds_was_closed(int fd);

/* In a forked child: closes again what was closed. Async-signal-safe. */
void cli_stdfds_restore(void);

#endif
