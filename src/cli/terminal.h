/* SPDX-License-Identifier: MIT */
/*
 * All output to a terminal goes through these functions. Names, labels, a server's words and the
 * library's messages may contain what somebody else has chosen: escape sequences that forge lines,
 * characters that change the direction of writing. These functions remove them.
 */
#ifndef PAWL_CLI_TERMINAL_H
#define PAWL_CLI_TERMINAL_H

#include <stddef.h>

/*
 * Bytes made harmless and unambiguous: a printable UTF-8 character stays, everything else
 * becomes \xNN, a backslash \\. For names. Free it; never NULL.
 */
char *cli_escape(const char *bytes, size_t len);

/*
 * The same for a line of text that may contain escaped parts already: a backslash stays, so
 * cleaning twice changes nothing. Free it; never NULL.
 */
char *cli_clean(const char *text);

/* Like cli_clean, into buf; cut if it is too long. Allocates nothing: for the guardian. */
void cli_clean_into(const char *text, char *buf, size_t size);

/* Like cli_clean, for a text in JSON: control characters become \u00NN, which means the same
 * character. */
char *cli_clean_json(const char *text);

/*
 * printf to stdout, cleaned. A newline at the very end of the format ends the line; any other
 * newline is escaped like all control characters.
 */
void cli_print(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
