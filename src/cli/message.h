/* SPDX-License-Identifier: MIT */
/* Messages of pawl for people: one line at a time, only on stderr, beginning with "pawl: ". */
#ifndef PAWL_CLI_MESSAGE_H
#define PAWL_CLI_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "terminal.h"

/* "pawl", or "pawl-flock" when called by that name. */
extern const char *cli_program;

/* -q and -v. Errors of usage are said even with -q. */
typedef enum cli_loudness { CLI_QUIET = -1, CLI_NORMAL = 0, CLI_VERBOSE = 1 } cli_loudness;
void cli_set_loudness(cli_loudness loudness);
bool cli_is_verbose(void);

/*
 * While a command is supervised, a line that cannot be written at once is dropped: a pager that
 * nobody scrolls must not keep pawl from stopping the command in time.
 */
void cli_messages_never_block(void);

/* error: always printed; warn: unless quiet; info: only if verbose. No newline at the end. The line
 * is cleaned. */
void cli_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void cli_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void cli_info(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
