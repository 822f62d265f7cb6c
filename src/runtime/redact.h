/* SPDX-License-Identifier: MIT */
/* A URL as messages may show it. */
#ifndef PAWL_RUNTIME_REDACT_H
#define PAWL_RUNTIME_REDACT_H

#include <stdbool.h>

/*
 * A copy in which all that could be a password is ***, for free(); NULL: out of memory. It need
 * not be a URL: what does not parse is just what is shown, and holds a password no less often.
 */
char *pawl__redact(const char *url);

/* Whether a URL of this scheme is a path, in which an @ means nothing. */
bool pawl__redact_is_path(const char *url);

#endif
