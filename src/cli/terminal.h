/* SPDX-License-Identifier: MIT */
/*
 * The one place between us and a terminal. Names, labels, a server's words and the library's
 * messages may hold what somebody else has chosen: escape sequences that forge lines, characters
 * that turn the direction of writing. What is printed with these functions holds none of them.
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
 * The same for a line of text that may quote what was escaped already: a backslash stays, so
 * that doing it twice changes nothing. Free it; never NULL.
 */
char *cli_clean(const char *text);

/* cli_clean into buf, cut where it is full. Allocates nothing: for the guardian. */
void cli_clean_into(const char *text, char *buf, size_t size);

/* As cli_clean for a text in JSON, where \u00NN says the same character again. */
char *cli_clean_json(const char *text);

/*
 * printf to stdout, cleaned. A newline at the very end of the format ends the line; one that
 * stands anywhere else is escaped as all control characters are.
 */
void cli_print(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
